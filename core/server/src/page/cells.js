// Shows cells: images, sounds, videos, strokes, texts and numbers, final or as previews.
import { make } from './dom.js';
import { blobUrl } from './server.js';

/** An element for a cell. A file is loaded from the server, or inside the cell in base64. */
export function shownCell(cell, name) {
  if (!cell) return make('span', { class: 'dim' }, 'nothing');
  if (cell.text !== undefined) return make('span', { class: 'text' }, cell.text);
  if (cell.number !== undefined) return make('span', { class: 'number' }, String(cell.number));
  if (cell.list !== undefined) return strokes(cell.list, name) ?? numbers(cell.list);
  if (cell.media !== undefined) return medium(cell, name);
  return make('span', {}, `${cell.files ?? 0} files`);
}

function medium(cell, name) {
  const kind = cell.media.split('/')[0];
  const element =
    kind === 'image' ? make('img', { alt: name }) :
    kind === 'audio' ? make('audio', { controls: true, 'aria-label': name }) :
    kind === 'video' ? make('video', { controls: true, loop: true, muted: true, 'aria-label': name }) :
    make('a', { download: name }, `${name} (${cell.bytes} bytes)`);
  const use = url => { if (element.tagName === 'A') element.href = url; else element.src = url; };
  if (cell.base64 !== undefined) use(`data:${cell.media};base64,${cell.base64}`);
  else blobUrl(cell.url).then(use, error => element.replaceWith(make('span', { class: 'bad' }, error.message)));
  return element;
}

/** Strokes, each a list of points [x, y], as a drawing. */
function strokes(list, name) {
  const isPoint = point => Array.isArray(point) && point.length === 2 && point.every(Number.isFinite);
  const isStroke = stroke => Array.isArray(stroke) && stroke.length > 0 && stroke.every(isPoint);
  if (!list.length || !list.every(isStroke)) return null;
  const [left, top, right, bottom] = bounds(list.flat());
  const size = Math.max(right - left, bottom - top) || 1;
  const place = ([x, y]) => `${(100 * (x - left) / size).toFixed(1)} ${(100 * (y - top) / size).toFixed(1)}`;
  const drawn = list.map(stroke => 'M' + stroke.map(place).join('L')).join('');
  const attributes = { d: drawn, fill: 'none', stroke: 'currentColor', 'stroke-width': 4, 'stroke-linecap': 'round', 'stroke-linejoin': 'round' };
  return vector('svg', { viewBox: '-5 -5 110 110', role: 'img', 'aria-label': name }, vector('path', attributes));
}

function bounds(points) {
  const [xs, ys] = [0, 1].map(axis => points.map(point => point[axis]));
  return [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)];
}

function vector(tag, attributes, ...children) {
  const element = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function numbers(list) {
  const flat = list.flat(Infinity);
  const shown = flat.slice(0, 6).map(number => Number(number).toPrecision(3)).join(', ');
  return make('span', { class: 'number', title: `${flat.length} numbers` }, flat.length > 6 ? `[${shown}, ...]` : `[${shown}]`);
}
