/**
 * The time, anew every second, for what is told in seconds while nothing happens. To be called while a component is
 * made.
 */
export function secondClock(): { readonly now: number } {
  let now = $state(Date.now());
  $effect(() => {
    const timer = setInterval(() => (now = Date.now()), 1000);
    return () => clearInterval(timer);
  });
  return {
    get now() {
      return now;
    },
  };
}
