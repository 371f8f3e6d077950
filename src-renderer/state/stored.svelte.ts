/**
 * A value that survives reload and crash, kept in this browser.
 * @param merge makes a whole value of what was stored, which may come from an older version
 */
export function stored<T extends object>(key: string, merge: (saved: Partial<T>) => T): T {
  const value = $state(merge(readStored(key)));
  $effect.root(() => {
    $effect(() => {
      const text = JSON.stringify(value);
      try {
        localStorage.setItem(key, text);
      } catch {
        // A full or forbidden storage costs only the memory of the form.
      }
    });
  });
  return value;
}

/** Puts values into a stored value before the page that shows it is opened; what is not given stays as it was. */
export function fillStored<T extends object>(
  key: string,
  merge: (saved: Partial<T>) => T,
  values: Partial<T>,
): void {
  localStorage.setItem(key, JSON.stringify({ ...merge(readStored(key)), ...values }));
}

function readStored<T>(key: string): Partial<T> {
  try {
    const saved: unknown = JSON.parse(localStorage.getItem(key) ?? '{}');
    return typeof saved === 'object' && saved !== null ? (saved as Partial<T>) : {};
  } catch {
    return {};
  }
}
