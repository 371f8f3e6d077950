import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { z } from 'zod';

const stateSchema = z.object({
  x: z.number().int(),
  y: z.number().int(),
  width: z.number().int().min(320),
  height: z.number().int().min(320),
  maximized: z.boolean(),
});
/** Place and size of the window on the desktop, in device-independent pixels. */
export type WindowState = z.infer<typeof stateSchema>;

export interface Area {
  x: number;
  y: number;
  width: number;
  height: number;
}

/** A title bar of which less than this is on a screen cannot be dragged back. */
const graspable = 80;

/**
 * The window's place when it was last closed, or null where that is unknown or on a screen that is no longer there.
 * @param screens work areas of the present screens
 */
export function readWindowState(file: string, screens: readonly Area[]): WindowState | null {
  try {
    const state = stateSchema.parse(JSON.parse(readFileSync(file, 'utf8')));
    return screens.some((screen) => isGraspable(state, screen)) ? state : null;
  } catch {
    return null;
  }
}

function isGraspable(window: Area, screen: Area): boolean {
  const overlap = Math.min(window.x + window.width, screen.x + screen.width) - Math.max(window.x, screen.x);
  return overlap >= graspable && window.y >= screen.y && window.y < screen.y + screen.height - graspable;
}

/** Keeps the window's place. Never throws: a full disk must not stop a window from closing. */
export function writeWindowState(file: string, state: WindowState): void {
  try {
    mkdirSync(dirname(file), { recursive: true });
    const temporary = `${file}.partial`;
    writeFileSync(temporary, JSON.stringify(state));
    renameSync(temporary, file);
  } catch (error) {
    console.error('The window’s place could not be kept:', error);
  }
}
