// Any workload, as a plan file defines it: REQUESTS names a file with its requests, as run-lab writes one for each
// cell (`k6/CELL-requests.json` in the folder of a run), so that what was run can be run again by hand.
//
//   k6 run -e GATEWAY=http://127.0.0.1:8080 -e REQUESTS=rest-orders-requests.json -e RATE=100 k6/requests.js
//
// Also: PROTOCOL (a label here), WARMUP, DURATION, TIMEOUT, MAX_VUS, PRE_ALLOCATED_VUS, SAMPLE_EVERY, THRESHOLDS, SUMMARY.

import { SharedArray } from 'k6/data';
import { ask, gateway, options, summary } from './load.js';

if (!__ENV.REQUESTS) {
  throw new Error('REQUESTS: names no file with requests');
}
const requests = JSON.parse(open(__ENV.REQUESTS));
// Rows can be many, and each user has a world of its own: one copy of them is enough.
requests.forEach((request, at) => {
  const { rows } = request;
  request.rows = rows.length > 0 ? new SharedArray(`rows of request ${at + 1}`, () => rows) : [];
});
const weights = requests.reduce((sum, request) => sum + request.weight, 0);

const letters = (count) => 'abcdefghijklmnopqrstuvwxyz'.repeat(Math.ceil(count / 26)).slice(0, count);

// A drawn value, as it is written where it stands.
function written(value, how) {
  const plain = typeof value === 'string' ? value : JSON.stringify(value);
  switch (how) {
    case 'uri':
      return encodeURIComponent(plain);
    case 'json':
      return JSON.stringify(value);
    case 'in_json':
      return JSON.stringify(plain).slice(1, -1);
    default:
      return plain;
  }
}

// A text: its parts are as they stand, so many letters, or values that are drawn.
function text(parts, row) {
  return parts
    .map((part) => {
      if (typeof part === 'string') {
        return part;
      }
      return part.letters === undefined ? written(row[part.drawn], part.written) : letters(part.letters);
    })
    .join('');
}

// What is the same in every request is made once.
const fixed = (parts) => parts.every((part) => typeof part === 'string' || part.letters !== undefined);
function made(parts) {
  if (parts === null) {
    return () => null;
  }
  const once = fixed(parts) ? text(parts, {}) : null;
  return once === null ? (row) => text(parts, row) : () => once;
}
const prepared = requests.map((request) => ({
  ...request,
  path: made(request.path),
  headers: request.headers.map(([name, value]) => [name, made(value)]),
  body: made(request.body),
  json: request.answer.json.map(([name, value]) => [name, made(value)]),
  text: made(request.answer.text),
}));

const has = (object, name) => Object.prototype.hasOwnProperty.call(object, name);

// Whether two values of JSON say the same.
function same(one, other) {
  if (one === null || other === null || typeof one !== 'object' || typeof other !== 'object') {
    return one === other;
  }
  const names = Object.keys(one);
  return (
    Array.isArray(one) === Array.isArray(other) &&
    names.length === Object.keys(other).length &&
    names.every((name) => has(other, name) && same(one[name], other[name]))
  );
}

// The object that an answer is, if it is one.
function object(reply) {
  try {
    const value = JSON.parse(reply.body);
    return typeof value === 'object' && !Array.isArray(value) ? value : null;
  } catch (error) {
    return null;
  }
}

const says = 'says what was asked';

// Whether an answer is the right one. A payload of another length was answered: the taps prove what was sent.
function right({ answer, json, text: whole }, row) {
  if (answer.text !== null) {
    return (reply) => reply.body === whole(row);
  }
  if (json.length === 0 && answer.payload === null) {
    return () => true;
  }
  return (reply) => {
    const found = object(reply);
    return (
      found !== null &&
      json.every(([name, value]) => has(found, name) && same(found[name], JSON.parse(value(row)))) &&
      (answer.payload === null || typeof found[answer.payload] === 'string')
    );
  };
}

const below = (count) => Math.floor(Math.random() * count);

export { options };

export default function () {
  let place = below(weights);
  const template = prepared.findIndex((request) => {
    place -= request.weight;
    return place < 0;
  });
  const request = prepared[template];
  const row = request.rows.length > 0 ? request.rows[below(request.rows.length)] : {};
  const headers = {};
  request.headers.forEach(([name, value]) => {
    headers[name] = value(row);
  });
  const url = `${gateway}${request.path(row)}`;
  const more = { headers, status: request.answer.status, route: `${gateway}${request.route}`, template };
  ask(request.method, url, request.body(row), { [says]: right(request, row) }, [says], more);
}

export const handleSummary = summary;
