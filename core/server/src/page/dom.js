// Elements without markup in texts: whatever a pipeline or a row says stays text.

/** Makes an element: properties, then children. `class`, `for`, `aria-*`, `role` and `data-*` are attributes. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (name === 'class' || name === 'for' || name === 'role' || name.includes('-')) element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children.filter(child => child !== null && child !== undefined));
  return element;
}

/** The element of an id. */
export function byId(id) {
  return document.getElementById(id);
}

let ids = 0;

/** A labelled control. */
export function labelled(text, control) {
  control.id ||= `control-${++ids}`;
  return make('p', { class: 'field' }, make('label', { for: control.id }, text), control);
}

/** A number of rows in words. */
export function counted(rows) {
  return rows === 1 ? '1 row' : `${rows} rows`;
}
