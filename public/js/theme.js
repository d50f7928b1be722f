/*
 * theme.js - tells Bootstrap which colour scheme the system prefers, and follows it.
 *
 * Loaded before the styles, so that the first paint has the right colours.
 */
const dark = window.matchMedia('(prefers-color-scheme: dark)');

function apply() {
  document.documentElement.dataset.bsTheme = dark.matches ? 'dark' : 'light';
}

dark.addEventListener('change', apply);
apply();
