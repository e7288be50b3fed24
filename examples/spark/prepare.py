"""A corpus → token shards with Spark: one task a part, each a process of `galvani prepare`, and one dataset of them at last.

    spark-submit --conf spark.task.cpus=8 examples/spark/prepare.py --parts 64 \
        --input /shared/text --vocab /shared/vocab.txt --output /shared/tokens

Other flags go to `galvani prepare`. docs/many-machines.md tells what happens on failure, and how to go on.
"""
import argparse
import ctypes
import signal
import subprocess
import sys
import threading
import time

from pyspark import AccumulatorParam, SparkConf, SparkContext

# Exit codes of galvani.
WRONG_USE, BAD_INPUT, TRY_AGAIN = 2, 42, 75
# A machine that died holds its part for a minute; four tries of a task in a few seconds would not outlast it.
SECONDS_UNTIL_RETRY = 61


class Refusals(AccumulatorParam):
    """(part, exit code, message) of the parts that no retry can help."""

    def zero(self, value):
        return []

    def addInPlace(self, mine, others):
        return mine + others


def end_with_parent():
    """On Linux, a task that Spark kills takes its process with it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--parts", type=int, required=True)
    parser.add_argument("--output", required=True, help="the dataset; its parts lie beside it, in OUTPUT-parts")
    parser.add_argument("--galvani", default="galvani", help="the command on every machine")
    arguments, flags = parser.parse_known_args()
    galvani, parts = arguments.galvani, arguments.parts

    def folder_of(part):
        return f"{arguments.output}-parts/{part}-of-{parts}"

    # A second attempt beside the first would only wait for it.
    context = SparkContext(conf=SparkConf().setAppName("galvani prepare").set("spark.speculation", "false"))
    threads = context.getConf().get("spark.task.cpus", "1")
    refusals = context.accumulator([], Refusals())

    def prepare(part):
        command = [galvani, "prepare", "--part", f"{part}/{parts}", "--output", folder_of(part), "--threads", threads]
        done = subprocess.run(
            [*command, *flags], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, preexec_fn=end_with_parent
        )
        sys.stderr.write(done.stderr)
        if done.returncode in (WRONG_USE, BAD_INPUT):
            # No exception: Spark would try the task again. The driver ends the job.
            refusals.add([(part, done.returncode, done.stderr)])
        elif done.returncode != 0:
            if done.returncode == TRY_AGAIN:
                time.sleep(SECONDS_UNTIL_RETRY)
            raise RuntimeError(f"part {part} of {parts} ended with {done.returncode}: {done.stderr}")

    ended = threading.Event()

    def end_when_refused():
        while not ended.wait(0.2):
            if refusals.value:
                context.cancelAllJobs()
                return

    watcher = threading.Thread(target=end_when_refused, daemon=True)
    watcher.start()
    context.setLocalProperty("spark.job.interruptOnCancel", "true")
    try:
        context.parallelize(range(1, parts + 1), parts).foreach(prepare)
    except Exception:
        if not refusals.value:
            raise
    finally:
        ended.set()
        watcher.join()
        context.stop()
    for _, code, message in refusals.value[:1]:
        sys.stderr.write(message)
        sys.exit(code)

    # Links, no bytes: the driver's own machine does it.
    folders = [folder_of(part) for part in range(1, parts + 1)]
    sys.exit(subprocess.run([galvani, "merge", *folders, "--output", arguments.output]).returncode)


if __name__ == "__main__":
    main()
