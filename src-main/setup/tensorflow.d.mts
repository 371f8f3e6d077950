/** Whether the binding is there; whether it loads is for `doctor` to find out. */
export function tensorflowReady(): boolean;
/** Why the last attempt did not reach what it was for, or null. TensorFlow can be there all the same: for the CPU instead of the GPU. */
export function tensorflowFailure(): { message: string; remedy: string } | null;
/** Puts right what is wrong with TensorFlow: missing, not to be loaded, or for the CPU where a GPU could be used. Never throws. */
export function repairTensorflow(): Promise<boolean>;
