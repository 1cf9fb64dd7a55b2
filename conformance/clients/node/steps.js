// Plays named steps in the order in which they are given, one line each.

const assert = require("node:assert/strict");
const { setTimeout: pause } = require("node:timers/promises");

/** Runs every step, also after one that fails, and ends the program: 1 when any failed. */
async function play(steps) {
  let failed = 0;
  for (const [name, run] of Object.entries(steps)) {
    const start = Date.now();
    let verdict = "ok  ";
    try {
      await run();
    } catch (error) {
      failed += 1;
      verdict = "FAIL";
      console.log(error);
    }
    console.log(`${verdict} ${name} (${((Date.now() - start) / 1000).toFixed(1)} s)`);
  }
  const count = Object.keys(steps).length;
  console.log(`${count - failed} of ${count} steps pass`);
  // A watch that a failed step left behind must not keep the program.
  process.exit(failed ? 1 : 0);
}

/** Looks again and again until what is seen is wanted, and gives it back; fails after that many seconds. */
async function until(look, wanted = Boolean, seconds = 10) {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const seen = await look();
    if (wanted(seen)) return seen;
    assert(Date.now() < end, `still ${JSON.stringify(seen)} after ${seconds} s`);
    await pause(50);
  }
}

module.exports = { assert, pause, play, until };
