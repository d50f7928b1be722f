/*
 * text.js - what the page shows of names, times and values that came over the wire.
 *
 * Called by: models and views. Knows no DOM.
 */
export const MAX_TEXT_CHARS = 10000; /* longest message that we send, and that we show in full */

const MAX_REASON_CHARS = 200;
const N_TONES = 8; /* .tone-0 to .tone-7 in page.css */
const LAST_DATE_MS = 8.64e15; /* ECMA-262 21.4.1.1: a Date cannot hold more */

const hour = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'medium' });

/* Another client may send any JSON value as its message: we show what is no text as JSON. */
export function messageText(value) {
  const text = typeof value === 'string' ? value : JSON.stringify(value) ?? '';

  return text.length > MAX_TEXT_CHARS ? `${text.slice(0, MAX_TEXT_CHARS)}…` : text;
}

/* What a server says of a refusal, cut to what fits beside a field; '' where it says nothing. */
export function reasonText(value) {
  return typeof value === 'string' ? value.slice(0, MAX_REASON_CHARS) : '';
}

export function timeOr(at, now) {
  return Number.isFinite(at) && Math.abs(at) <= LAST_DATE_MS ? at : now;
}

export function timeWords(at) {
  const date = new Date(at);

  return { iso: date.toISOString(), short: hour.format(date), full: full.format(date) };
}

/* The first letter of a name, as a reader sees letters: an emoji with its modifiers is one. */
export function initial(name) {
  const first = Intl.Segmenter
    ? new Intl.Segmenter().segment(name)[Symbol.iterator]().next().value?.segment
    : Array.from(name)[0];

  return (first ?? '?').toLocaleUpperCase();
}

/* One of a few colours, always the same for one name. */
export function tone(name) {
  let hash = 0;

  for (const char of name) hash = (hash * 31 + char.codePointAt(0)) >>> 0;
  return hash % N_TONES;
}
