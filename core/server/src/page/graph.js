// The graph of the chosen pipeline; its nodes light up as they run.
import { byId } from './dom.js';
import { text } from './server.js';

let shown;

/** Shows the graph of a pipeline. */
export async function showGraph(name) {
  shown = name;
  const drawing = new DOMParser().parseFromString(await text(`/v1/pipelines/${encodeURIComponent(name)}/graph.svg`), 'image/svg+xml');
  if (shown !== name) return;
  const svg = document.importNode(drawing.documentElement, true);
  // A box is a rectangle, and the first line in it names the node.
  for (const box of svg.querySelectorAll('rect')) {
    const title = box.nextElementSibling;
    if (title?.tagName === 'text') box.dataset.node = title.textContent;
  }
  byId('graph').replaceChildren(svg);
}

/** Lights up a node of a pipeline; null for none. */
export function lightUp(name, node) {
  if (name !== shown) return;
  for (const box of byId('graph').querySelectorAll('rect')) box.classList.toggle('active', box.dataset.node === node && node !== null);
}
