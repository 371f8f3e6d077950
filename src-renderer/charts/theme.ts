/** Colors of the page's tokens as a canvas needs them: resolved values. */
export interface ChartColors {
  text: string;
  soft: string;
  line: string;
  surface: string;
  raised: string;
  of(token: string): string;
}

export function chartColors(): ChartColors {
  const style = getComputedStyle(document.documentElement);
  const of = (token: string) => style.getPropertyValue(token).trim();
  return {
    text: of('--text'),
    soft: of('--text-soft'),
    line: of('--line'),
    surface: of('--surface'),
    raised: of('--raised'),
    of,
  };
}

/** How the values at a place are shown, in every chart alike. */
export function tooltipStyle(colors: ChartColors) {
  return {
    confine: true,
    transitionDuration: 0,
    backgroundColor: colors.raised,
    borderColor: colors.line,
    textStyle: { color: colors.text, fontFamily: 'Inter Variable', fontSize: 12 },
  };
}
