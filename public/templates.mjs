/*
 * templates.mjs - turns an Underscore template into an ES module at build time.
 *
 * Called by: build.mjs, and the loader that the unit tests use.
 * The page's Content-Security-Policy has no unsafe-eval, so nothing may be compiled in the browser.
 * A template reads its values from `data` and prints them escaped, `<%- data.name %>`; the printing
 * tag that does not escape is refused, so that no value can become markup.
 */
import _ from 'underscore';

const NEVER = /(?!)()/; /* matches nothing; Underscore counts on the group */

/* Returns the text of a module whose default export is the function (data) => HTML. */
export function compileTemplate(source, name) {
  if (source.includes('<%=')) {
    throw new Error(`${name}: "<%=" prints without escaping: use "<%-"`);
  }
  const compiled = _.template(source.replace(/>\s*\n\s*</g, '><').trim(), {
    variable: 'data',
    interpolate: NEVER,
  });
  return `import _ from 'underscore';\nexport default ${compiled.source};\n`;
}
