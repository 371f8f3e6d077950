/** Comments are read beside code in windows of this width; the formatter leaves them alone. */
const widestComment = 120;

/** American spelling, as in the field's own names (optimizer, tokenizer): one word has one spelling, in code and in prose. */
const otherSpelling =
  /\b\w*(optimis|tokenis|quantis|normalis|initialis|serialis|stabilis|recognis|summaris|colour|behaviour)\w*/gi;

/** Comments within the width, and one spelling of each word. */
export const proseRule = {
  meta: { type: 'layout', schema: [] },
  create(context) {
    return {
      Program() {
        const source = context.sourceCode;
        for (const { loc } of source.getAllComments())
          for (let line = loc.start.line; line <= loc.end.line; line++)
            if (source.lines[line - 1].length > widestComment)
              context.report({
                loc: { line, column: 0 },
                message: `A comment ends after column ${widestComment}.`,
              });
        for (const match of source.getText().matchAll(otherSpelling))
          context.report({
            loc: source.getLocFromIndex(match.index),
            message: `"${match[0]}" is spelled the American way here.`,
          });
      },
    };
  },
};
