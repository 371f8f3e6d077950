/** Provides TensorFlow and its binding; false where it could not, with the reason in tensorflowFailure(). */
export function ensureTensorflow(options?: { retry?: boolean }): Promise<boolean>;
export function tensorflowFailure(): { message: string; remedy: string } | null;
export function tensorflowReady(): boolean;
