// Calls of the server. A token stays in this tab.
import { byId } from './dom.js';

function headers(more = {}) {
  const token = sessionStorage.getItem('token');
  return token ? { ...more, Authorization: `Bearer ${token}` } : more;
}

/** Asks for the token of the server. */
async function askToken() {
  const dialog = byId('token');
  if (!dialog.open) dialog.showModal();
  await new Promise(resolve => dialog.addEventListener('close', resolve, { once: true }));
  sessionStorage.setItem('token', byId('secret').value.trim());
}

/** A response of the server; an error has its message. */
export async function call(path, options = {}) {
  const response = await fetch(path, { ...options, headers: headers(options.headers) });
  if (response.status === 401) {
    await askToken();
    return call(path, options);
  }
  if (!response.ok) {
    const found = await response.json().catch(() => null);
    throw new Error(found?.error?.message ?? `the server answered ${response.status}`);
  }
  return response;
}

export async function json(path, options) {
  return (await call(path, options)).json();
}

export async function text(path) {
  return (await call(path)).text();
}

/** An address of a file of the server that this page may show. */
export async function blobUrl(path) {
  return URL.createObjectURL(await (await call(path)).blob());
}

/** Saves a file of the server. */
export async function save(path, name) {
  const url = await blobUrl(path);
  const link = Object.assign(document.createElement('a'), { href: url, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

/** Follows the events of a run or a job until it is over or the page goes. A lost connection is opened again. */
export async function follow(path, heard) {
  let isOver = false;
  while (!isOver) {
    try {
      const response = await call(`${path}/events`);
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      let waiting = '';
      for (;;) {
        const { value, done } = await reader.read();
        if (done) break;
        waiting += value;
        const events = waiting.split('\n\n');
        waiting = events.pop();
        for (const event of events) {
          const name = /^event: ?(.*)$/m.exec(event)?.[1];
          const data = /^data: ?(.*)$/m.exec(event)?.[1];
          if (!name || !data) continue;
          heard(name, JSON.parse(data));
          isOver ||= name === 'done';
        }
      }
    } catch {
      // The server may be starting again.
    }
    if (!isOver) await new Promise(resolve => setTimeout(resolve, 1000));
  }
}
