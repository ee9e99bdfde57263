// The form of a pipeline: its inputs, and the options of its nodes that sample.
import { byId, labelled, make } from './dom.js';
import { fieldOf } from './fields.js';

let fields = [];
let options = [];
let pipeline;

/** Shows the form of a pipeline. */
export function showForm(chosen) {
  pipeline = chosen;
  fields = chosen.inputs.map(input => optional({ input, ...fieldOf(input) }));
  byId('inputs').replaceChildren(...fields.map(field => field.element));
  options = [seedOption(), ...chosen.nodes.flatMap(node => nodeOptions(node, chosen.samplers))];
  const previews = { key: null, control: make('input', { type: 'number', min: 0, value: 5 }), label: 'Steps between previews (0: none)' };
  options.push(previews);
  byId('options').replaceChildren(...options.map(option => labelled(option.label, option.control)));
  byId('problem').textContent = '';
}

/** A field with a box to leave its input out, if the model allows that. */
function optional(field) {
  if (!field.input.optional) return { ...field, isLeftOut: () => false };
  const box = make('input', { type: 'checkbox' });
  const own = make('fieldset', { class: 'plain' }, field.element);
  box.addEventListener('change', () => { own.disabled = box.checked; own.classList.toggle('out', box.checked); });
  box.id = `without-${field.input.name}`;
  const choice = make('p', { class: 'row' }, box, make('label', { for: box.id }, `Leave ${field.input.name} out`));
  return { ...field, element: make('div', {}, own, choice), isLeftOut: () => box.checked };
}

function seedOption() {
  return { key: 'seed', label: 'Seed', control: make('input', { type: 'number', min: 0, placeholder: 'as written' }) };
}

function nodeOptions(node, samplers) {
  const { key, sampler, guidance } = node;
  const before = node.node;
  const kinds = samplers.map(kind => make('option', { value: kind, selected: kind === sampler.kind }, kind));
  const made = [
    { key: `${key}.sampler.kind`, label: `${before}: sampler`, control: make('select', {}, ...kinds), written: sampler.kind },
    { key: `${key}.sampler.steps`, label: `${before}: steps`, control: make('input', { type: 'number', min: 1, value: sampler.steps }), written: sampler.steps },
  ];
  if (guidance?.scale !== undefined) {
    made.push({ key: `${key}.guidance.scale`, label: `${before}: guidance scale`, control: make('input', { type: 'number', step: 'any', value: guidance.scale }), written: guidance.scale });
  }
  return made.map(option => ({ ...option, sampler: key }));
}

/** The changed options. Another sampler replaces the whole one, since each kind has keys of its own. */
function changes() {
  const set = {};
  const valueOf = option => (option.control.type === 'number' ? Number(option.control.value) : option.control.value);
  for (const option of options.filter(option => option.written !== undefined && option.control.value !== '')) {
    if (String(valueOf(option)) !== String(option.written)) set[option.key] = valueOf(option);
  }
  for (const key of Object.keys(set).filter(key => key.endsWith('.sampler.kind'))) {
    const node = key.slice(0, -'.kind'.length);
    const steps = options.find(option => option.key === `${node}.steps`);
    set[node] = { kind: set[key], steps: valueOf(steps) };
    delete set[key];
    delete set[`${node}.steps`];
  }
  return set;
}

/** What runs and jobs have in common: the pipeline and its changes. */
export function changed() {
  const request = { pipeline: pipeline.name, set: changes() };
  const seed = options.find(option => option.key === 'seed').control.value;
  if (seed !== '') request.seed = Number(seed);
  const without = fields.filter(field => field.isLeftOut()).map(field => field.input.name);
  if (without.length) request.without = without;
  return request;
}

/** The request of the form: JSON, and the cells for a form with files. Throws if an input is empty. */
export function asked() {
  const request = { ...changed(), preview_steps: Number(options.at(-1).control.value || 0) };
  const count = Math.max(1, Number(byId('count').value || 1));
  const body = new FormData();
  const given = fields.filter(field => !field.isLeftOut());
  if (!given.length) request.rows = count;
  body.append('run', new Blob([JSON.stringify(request)], { type: 'application/json' }));
  for (const { input, value } of given) {
    const found = value();
    if (found === undefined) throw new Error(`"${input.name}" is empty`);
    const part = found instanceof Blob ? found : typeof found === 'string' ? found : JSON.stringify(found);
    // Each row gets other noise, so the same cells give other outputs.
    for (let row = 0; row < count; row++) body.append(input.name, part);
  }
  return body;
}

/** Fills the options with those of an earlier run. */
export function useOptions(request) {
  for (const option of options) {
    if (option.key === 'seed') option.control.value = request.seed ?? '';
    const node = option.key?.split('.sampler.')[0];
    const whole = request.set?.[`${node}.sampler`];
    const changed = request.set?.[option.key] ?? (option.key?.includes('.sampler.') ? whole?.[option.key.split('.').at(-1)] : undefined);
    if (option.written !== undefined) option.control.value = changed ?? option.written;
  }
}
