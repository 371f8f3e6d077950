/**
 * Puts right what is wrong with TensorFlow: missing, not to be loaded, or for the CPU where a GPU could be used. Never
 * throws.
 */
export function repairTensorflow(): Promise<boolean>;
