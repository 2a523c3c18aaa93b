// The globals of a script, and the one way by which the double calls its functions.

import 'double:globals';
import { host } from 'double:host';
import * as script from 'double:script';

globalThis.__call = async (name, text) => {
  const result = await script[name](text === '' ? undefined : JSON.parse(text));
  return JSON.stringify(result ?? null);
};
globalThis.__exports = () => {
  const functions = Object.keys(script).filter((name) => typeof script[name] === 'function');
  return JSON.stringify({ functions, options: script.options ?? {} });
};
host('over');
