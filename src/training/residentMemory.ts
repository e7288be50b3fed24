/** The most memory that this process had resident at any time. */
import { readFile } from 'node:fs/promises';

/** Linux: VmHWM, which unlike the system's maxrss does not begin with the size of the process that started this one. */
export async function peakResidentBytes(): Promise<number> {
  const status = await readFile('/proc/self/status', 'utf8').catch(() => '');
  const kilobytes = /^VmHWM:\s*(\d+) kB$/m.exec(status)?.[1];
  return 1024 * (kilobytes === undefined ? process.resourceUsage().maxRSS : Number(kilobytes));
}
