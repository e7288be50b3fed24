/** Native modules made for a test: whatever their source says, or what a binding to TensorFlow exports, in JavaScript. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';

const hasCompiler = spawnSync('g++', ['--version'], { stdio: 'ignore' }).status === 0;

/** `test(name, needCompiler, …)` */
export const needCompiler = { skip: hasCompiler ? false : 'needs g++' };

export function compile(source: string, output: string): void {
  const { status, stderr } = spawnSync('g++', ['-shared', '-fPIC', '-x', 'c++', '-', '-o', output], {
    encoding: 'utf8',
    input: source,
  });
  assert.equal(status, 0, stderr);
}

/** exports: an expression, evaluated in the thread that opens the module. It has `process`, but no `require`. */
export function compileBinding(exports: string, output: string): void {
  compile(
    `extern "C" {
      int napi_create_string_utf8(void *env, const char *text, unsigned long length, void **result);
      int napi_run_script(void *env, void *script, void **result);
      void *napi_register_module_v1(void *env, void *) {
        void *script, *result = nullptr;
        napi_create_string_utf8(env, R"js((${exports}))js", -1, &script);
        napi_run_script(env, script, &result);
        return result;
      }
    }`,
    output,
  );
}
