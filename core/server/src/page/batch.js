// Batch jobs: their form, and a card for each.
import { byId, counted, make } from './dom.js';
import { changed } from './form.js';
import { describe } from './runs.js';
import { call, follow, json, save } from './server.js';

const OVER = ['done', 'failed', 'cancelled', 'quarantined'];
let offered = false;

/** Lists the datasets and the jobs of the server. */
export async function startBatch() {
  const found = await json('/v1/datasets');
  offered = found.offered;
  byId('data').append(...found.datasets.map(({ name }) => make('option', { value: name }, name)));
  byId('most').max = found.most_rows;
  byId('start').addEventListener('click', submit);
  const { jobs } = await json('/v1/jobs');
  jobs.slice(0, 20).forEach(job => addJob(job, false));
}

/** Fits the form to a pipeline: one without inputs reads no dataset. */
export function showBatch(pipeline) {
  const reads = pipeline.inputs.length > 0;
  byId('batch').hidden = reads && !offered;
  byId('data').closest('p').hidden = !reads;
  byId('batch').dataset.reads = reads ? 'yes' : 'no';
}

async function submit() {
  const problem = byId('batch-problem');
  problem.textContent = '';
  byId('start').disabled = true;
  try {
    const request = changed();
    if (byId('batch').dataset.reads === 'yes') request.data = byId('data').value;
    if (byId('most').value !== '') request.rows = Number(byId('most').value);
    const headers = { 'Content-Type': 'application/json' };
    const { id } = await json('/v1/jobs', { method: 'POST', headers, body: JSON.stringify(request) });
    addJob(await json(`/v1/jobs/${id}`));
  } catch (error) {
    problem.textContent = error.message;
  }
  byId('start').disabled = false;
}

function addJob(job, isLatest = true) {
  byId('jobs-title').hidden = false;
  const card = new JobCard(job);
  if (isLatest) byId('jobs').prepend(card.element);
  else byId('jobs').append(card.element);
  card.start();
}

class JobCard {
  constructor(job) {
    this.job = job;
    this.path = `/v1/jobs/${job.id}`;
    this.state = make('span', { class: 'state', role: 'status' }, job.state);
    this.bar = make('progress', { max: 1, value: 0, 'aria-label': `Progress of the job ${job.pipeline}` });
    this.problem = make('p', { class: 'bad' });
    this.actions = make('p', { class: 'row actions' });
    const when = new Date(job.created * 1000).toLocaleTimeString();
    const of = [job.request.data, describe(job.request)].filter(Boolean).join(' · ');
    const title = make('h3', {}, job.pipeline, make('span', { class: 'dim' }, ` ${when} · ${of}`));
    this.element = make('article', { class: 'run job', 'aria-label': `Job of ${job.pipeline} at ${when}`, 'data-job': job.id }, title, make('p', { class: 'row' }, this.state, this.bar), this.problem, this.actions);
  }

  async start() {
    this.show(this.job);
    if (!OVER.includes(this.job.state)) {
      this.button('Cancel the job', () => call(this.path, { method: 'DELETE' }));
      await follow(this.path, (name, data) => this.hear(name, data));
      this.job = await json(this.path);
    }
    this.end();
  }

  hear(name, data) {
    if (name === 'state') this.show({ ...this.job, state: data.state });
    if (name === 'queue') this.show({ ...this.job, state: 'queued' }, `place ${data.place} in the queue`);
    if (name === 'load') this.show({ ...this.job, state: 'running' }, 'loading the model');
    if (name === 'progress') this.show({ ...this.job, ...data, state: 'running' });
  }

  show(job, more) {
    this.job = job;
    const { state, rows, failed, total } = job;
    const done = rows + (state === 'running' ? 0 : failed);
    const counts = [total ? `${done} of ${counted(total)}` : counted(done), failed ? `${failed} failed` : null].filter(Boolean).join(', ');
    this.state.textContent = `${state}: ${more ?? counts}`;
    this.element.dataset.state = state;
    if (total) this.bar.value = done / total;
    this.problem.textContent = job.error?.message ?? '';
  }

  end() {
    this.show(this.job);
    this.bar.hidden = true;
    this.actions.replaceChildren();
    for (const { name, rows, url } of this.job.files ?? []) this.button(`Download ${name} (${counted(rows)})`, () => save(url, name));
  }

  button(text, work) {
    const attempt = async () => {
      try { await work(); } catch (error) { this.problem.textContent = error.message; }
    };
    this.actions.append(make('button', { type: 'button', class: 'small', onclick: attempt }, text));
  }
}
