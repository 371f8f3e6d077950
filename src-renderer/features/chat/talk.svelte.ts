import { getContext, setContext } from 'svelte';
import type { Chat, ChatAnswer, ChatChoice, ChatText } from '../../../src-main/contract/evaluation/chat.ts';
import type { StudioEvent } from '../../../src-main/contract/events.ts';
import type { ProcedureInput } from '../../../src-main/contract/procedures.ts';
import { Action } from '../../state/action.svelte.ts';
import type { Studio } from '../../state/studio.svelte.ts';

/** The chat as the core has it, kept apart from its page: it goes on when the page is left. */
export class Talk {
  readonly #studio: Studio;
  /** Null: there is none. */
  chat: Chat | null = $state.raw(null);
  isLoaded = $state(false);
  readonly opening = new Action();
  readonly asking = new Action();

  constructor(studio: Studio) {
    this.#studio = studio;
    studio.listen({ onEvent: (event) => this.#apply(event), onReload: () => void this.#load() });
  }

  async #load(): Promise<void> {
    // What cannot be asked is told by the banner of the connection.
    const chat = await this.#studio.client.call('chat.state', {}).catch(() => this.chat);
    this.chat = chat;
    this.isLoaded = true;
  }

  #apply(event: StudioEvent): void {
    if (event.type === 'chat') this.chat = event.chat;
    else if (event.type === 'chat.text') this.#hear(event);
    // Each project has its own.
    else if (event.type === 'project.opened') void this.#load();
  }

  #hear({ chat: id, turn, answers }: ChatText): void {
    const { chat } = this;
    const before = chat?.turns[turn];
    if (!chat || chat.id !== id || !before) return;
    const heard = before.answers.map((answer, i): ChatAnswer => {
      const { at, text, tokens } = answers[i]!;
      return { ...answer, text: answer.text.slice(0, at) + text, tokens };
    });
    this.chat = {
      ...chat,
      turns: chat.turns.map((one, i) => (i === turn ? { ...one, answers: heard } : one)),
    };
  }

  open(input: ProcedureInput<'chat.open'>): Promise<boolean> {
    return this.opening.run('The chat was not opened.', async (signal) => {
      this.chat = await this.#studio.client.call('chat.open', input, { signal });
      this.asking.error = null;
    });
  }

  /** @returns whether it was answered */
  ask(prompt: string, settings: ProcedureInput<'chat.ask'>['settings']): Promise<boolean> {
    const { chat } = this;
    if (!chat) return Promise.resolve(false);
    return this.asking.run('The prompt was not answered.', async (signal) => {
      this.chat = await this.#studio.client.call('chat.ask', { chat: chat.id, prompt, settings }, { signal });
    });
  }

  /** Ends the answers, also those that were asked for before the page was loaded anew. */
  async stop(): Promise<void> {
    this.asking.cancel();
    if (this.chat) await this.#studio.client.call('chat.stop', { chat: this.chat.id }).catch(() => undefined);
  }

  rewind(turns: number): Promise<boolean> {
    const { chat } = this;
    if (!chat) return Promise.resolve(false);
    return this.asking.run('The turn was not taken back.', async () => {
      this.chat = await this.#studio.client.call('chat.rewind', { chat: chat.id, turns });
    });
  }

  /** Hides the names of the columns, which begins a new conversation, or shows them. */
  setBlind(isOn: boolean): Promise<boolean> {
    const { chat } = this;
    if (!chat) return Promise.resolve(false);
    const title = isOn ? 'The names were not hidden.' : 'The names were not shown.';
    return this.asking.run(title, async () => {
      this.chat = await this.#studio.client.call('chat.blind', { chat: chat.id, isOn });
    });
  }

  vote(turn: number, choice: ChatChoice | null): Promise<boolean> {
    const { chat } = this;
    if (!chat) return Promise.resolve(false);
    return this.asking.run('The vote was not kept.', async () => {
      this.chat = await this.#studio.client.call('chat.vote', { chat: chat.id, turn, choice });
    });
  }

  close(): Promise<boolean> {
    const { chat } = this;
    if (!chat) return Promise.resolve(false);
    return this.opening.run('The chat was not closed.', async () => {
      await this.#studio.client.call('chat.close', { chat: chat.id });
    });
  }
}

const key = Symbol('talk');

export function provideTalk(talk: Talk): void {
  setContext(key, talk);
}

export function useTalk(): Talk {
  return getContext<Talk>(key);
}
