// Controls for input cells. Each has `element` and `value()`: a Blob, a JSON value, or undefined while it is empty.
import { labelled, make } from './dom.js';

const CANVAS = 280;

/** The control of an input. */
export function fieldOf(input) {
  const makers = { bytes: file, files: file, text: words, integer: classes, number, list };
  return (makers[input.cell] ?? words)(input);
}

function words(input) {
  const area = make('textarea', { rows: 2, name: input.name });
  return { element: labelled(input.name, area), value: () => area.value.trim() || undefined };
}

function number(input) {
  const box = make('input', { type: 'number', step: 'any', name: input.name });
  return { element: labelled(input.name, box), value: () => (box.value === '' ? undefined : Number(box.value)) };
}

/** A class: by its name, or by its number if there are few. */
function classes(input) {
  const names = input.classes?.length ? input.classes : [...Array(Math.min(input.class_count ?? 0, 1000)).keys()].map(String);
  if (!names.length) return number(input);
  const choice = make('select', { name: input.name }, ...names.map((name, index) => make('option', { value: index }, name)));
  return { element: labelled(input.name, choice), value: () => Number(choice.value) };
}

function list(input) {
  if (input.depth === 3) return drawing(input.name, strokes => (strokes.length ? strokes : undefined));
  const area = make('textarea', { rows: 3, name: input.name, placeholder: '[0.1, 0.2]' });
  return { element: labelled(`${input.name} (lists of numbers as JSON)`, area), value: () => (area.value.trim() ? JSON.parse(area.value) : undefined) };
}

/** A file: chosen, dropped, drawn or recorded, by its modality. */
function file(input) {
  let blob;
  const shown = make('div', { class: 'shown', 'aria-live': 'polite' });
  const kind = /image|audio|video/i.exec(`${input.modality} ${input.feature}`)?.[0].toLowerCase();
  const choose = make('input', { type: 'file', accept: kind ? `${kind}/*` : undefined, name: input.name });
  const take = (found, by) => {
    blob = found;
    shown.replaceChildren(...(found ? [preview(found, kind, input.name), make('span', { class: 'dim' }, by)] : []));
  };
  choose.addEventListener('change', () => take(choose.files[0], choose.files[0]?.name));
  const more = kind === 'audio' ? [recorder(take)] : [];
  const sketch = kind === 'image' ? drawing(`${input.name}, drawn`, strokes => strokes) : null;
  const zone = make('div', { class: 'drop', role: 'group', 'aria-label': input.name }, labelled(`${input.name}: choose or drop a file`, choose), ...more, shown);
  zone.addEventListener('dragover', event => { event.preventDefault(); zone.classList.add('over'); });
  zone.addEventListener('dragleave', () => zone.classList.remove('over'));
  zone.addEventListener('drop', event => {
    event.preventDefault();
    zone.classList.remove('over');
    const dropped = event.dataTransfer.files[0];
    if (dropped) take(dropped, dropped.name);
  });
  if (sketch) {
    const use = make('button', { type: 'button', class: 'small', onclick: async () => take(await sketch.png(), 'drawn here') }, 'Use the drawing');
    zone.append(make('details', {}, make('summary', {}, 'Draw it'), sketch.element, use));
  }
  return { element: zone, value: () => blob };
}

function preview(blob, kind, name) {
  const src = URL.createObjectURL(blob);
  if (kind === 'image') return make('img', { src, alt: `chosen ${name}` });
  if (kind === 'audio') return make('audio', { src, controls: true, 'aria-label': `chosen ${name}` });
  if (kind === 'video') return make('video', { src, controls: true, muted: true, 'aria-label': `chosen ${name}` });
  return make('span', {}, `${blob.size} bytes`);
}

/** A canvas for strokes: white on black, as handwritten digits are. */
function drawing(name, valueOf) {
  const canvas = make('canvas', { width: CANVAS, height: CANVAS, tabIndex: 0, role: 'img', 'aria-label': `Draw ${name} with the pointer` });
  const context = canvas.getContext('2d');
  let strokes = [];
  const paint = () => {
    context.fillStyle = '#000';
    context.fillRect(0, 0, CANVAS, CANVAS);
    Object.assign(context, { strokeStyle: '#fff', fillStyle: '#fff', lineWidth: 22, lineCap: 'round', lineJoin: 'round' });
    for (const stroke of strokes) {
      context.beginPath();
      stroke.forEach(([x, y], index) => (index ? context.lineTo(x, y) : context.moveTo(x, y)));
      if (stroke.length === 1) context.lineTo(stroke[0][0] + 0.1, stroke[0][1]);
      context.stroke();
    }
  };
  const point = event => {
    const box = canvas.getBoundingClientRect();
    return [(event.clientX - box.left) * CANVAS / box.width, (event.clientY - box.top) * CANVAS / box.height].map(Math.round);
  };
  canvas.addEventListener('pointerdown', event => {
    canvas.setPointerCapture(event.pointerId);
    strokes.push([point(event)]);
    paint();
  });
  canvas.addEventListener('pointermove', event => {
    if (!canvas.hasPointerCapture(event.pointerId)) return;
    strokes.at(-1).push(point(event));
    paint();
  });
  const clear = make('button', { type: 'button', class: 'small', onclick: () => { strokes = []; paint(); } }, 'Clear');
  paint();
  const element = make('div', { class: 'drawing', role: 'group', 'aria-label': name }, make('span', {}, name), canvas, clear);
  return { element, value: () => valueOf(strokes), png: () => new Promise(resolve => canvas.toBlob(resolve, 'image/png')) };
}

/** A button that records the microphone to a WAV file. */
function recorder(take) {
  let recording;
  const button = make('button', { type: 'button', class: 'small' }, 'Record');
  button.addEventListener('click', async () => {
    if (recording) return recording.stop();
    try {
      const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
      const parts = [];
      recording = new MediaRecorder(stream);
      recording.addEventListener('dataavailable', event => parts.push(event.data));
      recording.addEventListener('stop', async () => {
        stream.getTracks().forEach(track => track.stop());
        recording = null;
        button.textContent = 'Record';
        take(await wav(new Blob(parts)), 'recorded here');
      });
      recording.start();
      button.textContent = 'Stop';
    } catch (error) {
      button.after(make('span', { class: 'bad' }, error.message));
    }
  });
  return button;
}

/** The first channel of a recording as 16-bit PCM in a WAV file. */
async function wav(blob) {
  const context = new AudioContext();
  const sound = await context.decodeAudioData(await blob.arrayBuffer());
  await context.close();
  const samples = sound.getChannelData(0);
  const bytes = new DataView(new ArrayBuffer(44 + samples.length * 2));
  const word = (at, text) => [...text].forEach((letter, index) => bytes.setUint8(at + index, letter.charCodeAt(0)));
  word(0, 'RIFF'); bytes.setUint32(4, 36 + samples.length * 2, true); word(8, 'WAVEfmt ');
  bytes.setUint32(16, 16, true); bytes.setUint16(20, 1, true); bytes.setUint16(22, 1, true);
  bytes.setUint32(24, sound.sampleRate, true); bytes.setUint32(28, sound.sampleRate * 2, true);
  bytes.setUint16(32, 2, true); bytes.setUint16(34, 16, true);
  word(36, 'data'); bytes.setUint32(40, samples.length * 2, true);
  samples.forEach((sample, index) => bytes.setInt16(44 + index * 2, Math.max(-1, Math.min(1, sample)) * 32767, true));
  return new Blob([bytes], { type: 'audio/wav' });
}
