/** What happens when the reader of standard output is gone (`galvani … | head`): the process ends, unless a command has work to finish. */
import { exitCodes } from '../errors.js';

let action = (): void => process.exit(exitCodes.done);

export function onClosedOutput(own: () => void): void {
  action = own;
}

export function closedOutput(): void {
  action();
}
