// How the stand-ins for k6's modules ask the double itself, which does all the work.

const ask = globalThis.__ask;
delete globalThis.__ask;

// Has `what` done, and answers what came of it.
export function host(what, about = null) {
  const { error, value } = JSON.parse(ask(what, JSON.stringify(about)));
  if (error !== undefined) {
    throw new Error(error);
  }
  return value;
}

// What k6 does and the double does not ends the run: a number that means something else is worse than none.
export function cannot(what) {
  host('cannot', what);
}
