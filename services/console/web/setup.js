// The first account, by the one-time link.

import { html, useState } from '/vendor/htm-preact.js';
import * as api from '/api.js';
import { Card, Field, Form } from '/ui.js';

export function Setup({ token, onDone }) {
  const [email, setEmail] = useState('');
  const [password, setPassword] = useState('');
  const [again, setAgain] = useState('');
  const send = async () => {
    if (password !== again) throw new Error('The two passwords differ.');
    await api.setup(token, email.trim(), password);
    await onDone();
  };
  return html`<${Card} title="Welcome to Footfall">
    <p>Make the first account. It is kept on this server only.</p>
    <${Form} onSubmit=${send} submit="Create account" submitId="setup-submit">
      <${Field} label="E-mail" id="setup-email" type="email" autocomplete="username" autofocus
        value=${email} onInput=${(e) => setEmail(e.target.value)} />
      <${Field} label="Password" id="setup-password" type="password" autocomplete="new-password"
        minlength="8" maxlength="256" hint="At least 8 characters."
        value=${password} onInput=${(e) => setPassword(e.target.value)} />
      <${Field} label="Password once more" id="setup-password2" type="password" autocomplete="new-password"
        value=${again} onInput=${(e) => setAgain(e.target.value)} />
    <//>
  <//>`;
}
