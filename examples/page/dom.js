/* global document */

const SVG = 'http://www.w3.org/2000/svg'

function fill (node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value)
  node.append(...children)
  return node
}

export const element = (name, attributes = {}, ...children) => fill(document.createElement(name), attributes, children)
export const shape = (name, attributes = {}, ...children) => fill(document.createElementNS(SVG, name), attributes, children)
