// Small pieces that several views share.

import { html, useState, useEffect, useRef } from '/vendor/htm-preact.js';

export function Logo() {
  return html`<img class="logo" src="/icon.svg" alt="" width="26" height="26" />`;
}

// What went wrong, and a way to try again.
export function Failure({ error, retry, small }) {
  return html`<div class=${small ? 'failure small' : 'failure'} role="alert">
    <p>${error.message}</p>
    ${retry && html`<button type="button" class="quiet" onClick=${retry}>Retry</button>`}
  </div>`;
}

// A lone form or message in the middle of the page.
export function Card({ title, children, wide }) {
  return html`<main class=${wide ? 'card wide' : 'card'}>
    <h1>${title}</h1>
    ${children}
  </main>`;
}

// A form that sends once at a time and shows what the server says.
export function Form({ onSubmit, submit, submitId, children }) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(null);
  const alive = useRef(true);
  useEffect(() => () => { alive.current = false; }, []);

  async function send(event) {
    event.preventDefault();
    if (busy) return;
    setBusy(true);
    setError(null);
    try {
      await onSubmit();
    } catch (e) {
      if (alive.current) setError(e);
    }
    if (alive.current) setBusy(false);
  }
  return html`<form onSubmit=${send}>
    ${children}
    ${error && html`<p class="problem" role="alert">${error.message}</p>`}
    <button type="submit" class="main" data-testid=${submitId} disabled=${busy}>${submit}</button>
  </form>`;
}

export function Field({ label, hint, id, ...input }) {
  return html`<label class="field">
    <span>${label}</span>
    <input data-testid=${id} required aria-describedby=${hint ? `${id}-hint` : undefined} ...${input} />
    ${hint && html`<small id=${`${id}-hint`}>${hint}</small>`}
  </label>`;
}

// A button with a list of links and buttons; closes by Escape, a click elsewhere or a choice.
export function Menu({ label, title, children, align }) {
  const [open, setOpen] = useState(false);
  const box = useRef(null);
  const button = useRef(null);

  useEffect(() => {
    if (!open) return undefined;
    const click = (e) => box.current.contains(e.target) || setOpen(false);
    const key = (e) => {
      if (e.key !== 'Escape') return;
      setOpen(false);
      button.current.focus();
    };
    const leave = (e) => e.relatedTarget && !box.current.contains(e.relatedTarget) && setOpen(false);
    const element = box.current;
    document.addEventListener('click', click);
    document.addEventListener('keydown', key);
    element.addEventListener('focusout', leave);
    return () => {
      document.removeEventListener('click', click);
      document.removeEventListener('keydown', key);
      element.removeEventListener('focusout', leave);
    };
  }, [open]);

  return html`<div class="menu" ref=${box}>
    <button type="button" ref=${button} class="quiet" title=${title} aria-expanded=${String(open)} onClick=${() => setOpen(!open)}>
      ${label}<span class="caret" aria-hidden="true"></span>
    </button>
    ${open && html`<div class=${`list ${align ?? ''}`} onClick=${() => setOpen(false)}>${children}</div>`}
  </div>`;
}
