/**
 * The batch module: everything it exports is called by src/batching. One shared memory, laid out by the host.
 */
export { philoxBlock, philoxWords } from '../philox';
