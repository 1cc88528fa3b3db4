// In this folder, so that what it imports comes from its own node_modules.
export const load = (name) => import(name)
