// The page: a pipeline, its form and graph, and the runs.
import { showBatch, startBatch } from './batch.js';
import { byId, make } from './dom.js';
import { asked, showForm } from './form.js';
import { showGraph } from './graph.js';
import { addRun } from './runs.js';
import { json } from './server.js';

const pipelines = new Map();

function choose(name) {
  const pipeline = pipelines.get(name);
  if (!pipeline) return;
  byId('pipeline').value = name;
  location.hash = encodeURIComponent(name);
  showForm(pipeline);
  showBatch(pipeline);
  showGraph(name).catch(error => byId('graph').replaceChildren(error.message));
}

async function submit(event) {
  event.preventDefault();
  const problem = byId('problem');
  problem.textContent = '';
  byId('run').disabled = true;
  try {
    const { id } = await json('/v1/runs', { method: 'POST', body: asked() });
    addRun(await json(`/v1/runs/${id}`), pipelines);
  } catch (error) {
    problem.textContent = error.message;
  }
  byId('run').disabled = false;
}

async function start() {
  const found = await json('/v1/pipelines');
  for (const pipeline of found.pipelines) pipelines.set(pipeline.name, pipeline);
  byId('count').max = found.limits.rows;
  byId('pipeline').append(...[...pipelines.keys()].map(name => make('option', { value: name }, name)));
  byId('pipeline').addEventListener('change', event => choose(event.target.value));
  byId('form').addEventListener('submit', submit);
  await startBatch();
  const asked = decodeURIComponent(location.hash.slice(1));
  choose(pipelines.has(asked) ? asked : found.pipelines[0]?.name);
  const { runs } = await json('/v1/runs');
  runs.slice(0, 20).forEach(run => addRun(run, pipelines, false));
  document.body.dataset.ready = 'yes';
}

start().catch(error => { byId('health').textContent = error.message; });
