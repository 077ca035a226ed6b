// The ways in: log in, and what to do while there is no account.

import { html, useState, useEffect } from '/vendor/htm-preact.js';
import * as api from '/api.js';
import { Card, Field, Form } from '/ui.js';

export function Login({ onDone, note }) {
  const [email, setEmail] = useState('');
  const [password, setPassword] = useState('');
  const send = async () => {
    await api.login(email.trim(), password);
    await onDone();
  };
  return html`<${Card} title="Log in">
    ${note && html`<p class="note">${note}</p>`}
    <${Form} onSubmit=${send} submit="Log in" submitId="login-submit">
      <${Field} label="E-mail" id="login-email" type="email" autocomplete="username" autofocus
        value=${email} onInput=${(e) => setEmail(e.target.value)} />
      <${Field} label="Password" id="login-password" type="password" autocomplete="current-password"
        value=${password} onInput=${(e) => setPassword(e.target.value)} />
    <//>
  <//>`;
}

// Nobody has an account. As soon as somebody has, this page goes on by itself.
export function NotSetUp({ reload }) {
  useEffect(() => {
    const timer = setInterval(() => document.hidden || reload(), 3000);
    return () => clearInterval(timer);
  }, [reload]);
  return html`<${Card} title="Footfall is running" wide>
    <p>There is no account yet. Two ways to make the first one:</p>
    <ol class="steps">
      <li>Open the link that was printed when Footfall started. It works for one hour;
        <code>footfall setup-link</code> prints a new one.</li>
      <li>Or, on the server: <code>footfall user add you@example.org --password-stdin</code></li>
    </ol>
  <//>`;
}
