/** What is asked before the studio ends while runs train or wait. */
export function quitQuestion({ running, waiting }: { running: number; waiting: number }): {
  message: string;
  detail: string;
  buttons: [string, string, string];
} {
  const others = waiting === 1 ? 'one waits' : `${waiting} wait`;
  if (running === 0)
    return {
      message: waiting === 1 ? 'A run waits for its turn.' : `${waiting} runs wait for their turn.`,
      detail:
        'The queue can go on without a window: the studio ends when it is through. Or the runs stay in it, and the queue goes on when the studio is started again.',
      buttons: ['Train on in the background', 'Quit and go on later', 'Cancel'],
    };
  const some = running === 1 ? 'A run is training' : `${running} runs are training`;
  const kept = running === 1 ? 'the run keeps a checkpoint' : 'each run keeps a checkpoint';
  if (waiting === 0 && running > 1)
    return {
      message: `${some}.`,
      detail:
        'They can train on without a window: the studio ends when they are through, and starting the studio again shows them. Or each keeps a checkpoint now and can be resumed later.',
      buttons: ['Train on in the background', 'Keep checkpoints and quit', 'Cancel'],
    };
  return {
    message: waiting === 0 ? `${some}.` : `${some}, and ${others} in the queue.`,
    detail:
      waiting === 0
        ? 'It can train on without a window: the studio ends when it is through, and starting the studio again shows it. Or it keeps a checkpoint now and can be resumed later.'
        : `They can go on without a window: the studio ends when the queue is through. Or ${kept} now and can be resumed later, and the queue goes on with the next one when the studio is started again.`,
    buttons: [
      'Train on in the background',
      running === 1 ? 'Keep a checkpoint and quit' : 'Keep checkpoints and quit',
      'Cancel',
    ],
  };
}

/** What is asked where somebody wants to quit again while a run still pauses. */
export const quitAtOnceQuestion: { message: string; detail: string; buttons: [string, string] } = {
  message: 'A run still finishes its step.',
  detail:
    'Then it keeps a checkpoint, and the studio ends. At once, it can be resumed from the checkpoint before.',
  buttons: ['Wait for it', 'Quit at once'],
};
