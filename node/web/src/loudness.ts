// How loud a recording is, part by part.

export interface Tally {
  /** add takes in a moment's samples, from -1 to 1. */
  add(samples: Float32Array): void
  /** last are the newest n moments, 0 to 255. */
  last(n: number): number[]
  /** bars divides all there was into at most n parts, the loudest 255. */
  bars(n: number): Uint8Array
}

export function count(): Tally {
  const heard: number[] = []
  return {
    add(samples) {
      let most = 0
      for (const x of samples) most = Math.max(most, Math.abs(x))
      heard.push(most)
    },
    last(n) {
      const list = heard.slice(-n).map((x) => Math.round(255 * Math.min(1, x)))
      return [...new Array<number>(n - list.length).fill(0), ...list]
    },
    bars(n) {
      const out = new Uint8Array(Math.max(1, Math.min(n, heard.length)))
      const loudest = Math.max(0.02, heard.reduce((a, b) => Math.max(a, b), 0))
      for (let i = 0; i < out.length; i++) {
        const part = heard.slice(Math.floor(i * heard.length / out.length), Math.floor((i + 1) * heard.length / out.length))
        out[i] = Math.round(255 * Math.max(0, ...part) / loudest)
      }
      return out
    },
  }
}
