// Grafana's tables import the default of a CommonJS package from .mjs files, where the bundler would give them the module.
export { Scrollbars as default, Scrollbars } from './node_modules/react-custom-scrollbars-2/lib/index.js';
