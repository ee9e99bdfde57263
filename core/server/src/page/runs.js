// The runs: previews while they sample, results, and what can be done with them.
import { shownCell } from './cells.js';
import { byId, counted, make } from './dom.js';
import { useOptions } from './form.js';
import { lightUp } from './graph.js';
import { call, follow, json, save, text } from './server.js';

/** A command-line word, quoted if it must be. */
export const quoted = word => (/^[\w.=:/-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`);

const OVER = ['done', 'failed', 'cancelled', 'quarantined'];

/** Shows a run, and follows it until it is over. New runs come first. */
export function addRun(run, files, isLatest = true) {
  byId('empty').hidden = true;
  const card = new Card(run, files);
  if (isLatest) byId('runs').prepend(card.element);
  else byId('runs').append(card.element);
  card.start();
}

class Card {
  constructor(run, files) {
    this.run = run;
    this.files = files;
    this.state = make('span', { class: 'state', role: 'status' }, run.state);
    this.bar = make('progress', { max: 1, value: 0, 'aria-label': `Progress of ${run.pipeline}` });
    this.outputs = make('div', { class: 'outputs' });
    this.actions = make('p', { class: 'row actions' });
    this.problem = make('p', { class: 'bad' });
    const when = new Date(run.created * 1000).toLocaleTimeString();
    const title = make('h3', {}, run.pipeline, make('span', { class: 'dim' }, ` ${when} · ${describe(run.request)}`));
    this.element = make('article', { class: 'run', 'aria-label': `Run of ${run.pipeline} at ${when}`, 'data-run': run.id }, title, make('p', { class: 'row' }, this.state, this.bar), this.problem, this.outputs, this.actions);
  }

  async start() {
    if (OVER.includes(this.run.state)) return this.end();
    this.show(this.run.state);
    this.button('Cancel', async () => { await call(`/v1/runs/${this.run.id}`, { method: 'DELETE' }); });
    await follow(`/v1/runs/${this.run.id}`, (name, data) => this.hear(name, data));
    await this.end();
  }

  hear(name, data) {
    if (name === 'state') this.show(data.state);
    if (name === 'queue') this.show('queued', `place ${data.place} in the queue`);
    if (name === 'load') this.show('running', 'loading the model');
    if (name === 'node') { this.show('running', data.node); lightUp(this.run.pipeline, data.node); }
    if (name === 'step') { this.bar.value = data.step / data.steps; this.show('running', `${data.node}, step ${data.step} of ${data.steps}`); }
    if (name === 'preview') this.preview(data);
  }

  show(state, more) {
    this.state.textContent = more ? `${state}: ${more}` : state;
    this.element.dataset.state = state;
  }

  preview({ rows, outputs, step, steps }) {
    this.element.dataset.previews = Number(this.element.dataset.previews ?? 0) + 1;
    const shown = Object.entries(outputs).map(([name, cells]) => this.column(name, cells, rows, `${name}, step ${step} of ${steps}`));
    this.outputs.replaceChildren(...shown);
    this.outputs.classList.add('preview');
  }

  column(name, cells, rows, label) {
    const shown = cells.map((cell, index) => make('div', { class: 'cell' }, shownCell(cell, `${name} of row ${rows?.[index] ?? index}`)));
    return make('section', { class: 'output', 'aria-label': label }, make('h4', {}, name), make('div', { class: 'cells' }, ...shown));
  }

  async end() {
    try {
      this.run = await json(`/v1/runs/${this.run.id}`);
    } catch (error) {
      this.problem.textContent = error.message;
      return;
    }
    const { run } = this;
    lightUp(run.pipeline, null);
    const seconds = run.result?.seconds;
    this.show(run.state, seconds === undefined ? undefined : `${counted(run.result.rows)} in ${seconds.toFixed(2)} s`);
    this.bar.hidden = true;
    this.outputs.classList.remove('preview');
    const failures = run.result?.failures ?? [];
    this.problem.replaceChildren(...[run.error?.message, ...failures.map(failure => `row ${failure.row}: ${failure.text}`)].filter(Boolean).map(line => make('span', {}, line)));
    const failed = new Set(failures.map(failure => failure.row));
    const rows = [...Array(run.rows).keys()].filter(row => !failed.has(row));
    this.outputs.replaceChildren(...Object.entries(run.outputs ?? {}).map(([name, cells]) => this.column(name, cells, rows, name)));
    this.actions.replaceChildren();
    if (run.state === 'done') this.button('Download Parquet', () => save(`/v1/runs/${run.id}/output.parquet`, `${run.pipeline}.parquet`));
    this.button('Copy command', () => this.copy(this.command()));
    this.button('Copy YAML', async () => this.copy(await text(`/v1/runs/${run.id}/pipeline.yaml`)));
    if (this.inputs().length) this.button('Download input', () => save(`/v1/runs/${run.id}/input.parquet`, 'input.parquet'));
    this.button('Use its options', () => useOptions(run.request));
    this.button('Hide', () => this.element.remove());
  }

  /** The inputs that the run read. */
  inputs() {
    const inputs = this.files.get(this.run.pipeline)?.inputs ?? [];
    return inputs.filter(input => !this.run.request.without?.includes(input.name));
  }

  /** The command that repeats the run. */
  command() {
    const { request, pipeline, rows } = this.run;
    const { file } = this.files.get(pipeline) ?? { file: `${pipeline}.yaml` };
    // No argument leaves an input out, so such a run needs its own file: what "Copy YAML" copies.
    const own = request.without?.length > 0;
    const source = own ? file.replace(/(\.ya?ml)?$/, '-without.yaml') : file;
    const parts = ['anyflow run', quoted(source), this.inputs().length ? '--input input.parquet' : `--rows ${rows}`, `--output ${quoted(`out/${pipeline}`)}`];
    if (own) return parts.join(' ');
    if (request.seed !== undefined) parts.push(`--seed ${request.seed}`);
    for (const [key, value] of Object.entries(request.set ?? {})) parts.push(`--set ${quoted(`${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`)}`);
    return parts.join(' ');
  }

  async copy(text) {
    try {
      await navigator.clipboard.writeText(text);
      this.note('copied');
    } catch {
      this.note(text);
    }
  }

  note(text) {
    this.actions.querySelector('.note')?.remove();
    this.actions.append(make('span', { class: 'note dim', role: 'status' }, text));
  }

  button(text, work) {
    const attempt = async () => {
      try { await work(); } catch (error) { this.problem.textContent = error.message; }
    };
    this.actions.append(make('button', { type: 'button', class: 'small', onclick: attempt }, text));
  }
}

export function describe(request) {
  const set = Object.entries(request.set ?? {}).map(([key, value]) => `${key} ${typeof value === 'object' ? JSON.stringify(value) : value}`);
  const seed = request.seed === undefined ? [] : [`seed ${request.seed}`];
  const without = (request.without ?? []).map(name => `without ${name}`);
  return [...seed, ...set, ...without].join(', ') || 'as written';
}
