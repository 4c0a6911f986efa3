// What ES2023 gave to arrays, for checkers of types that don't know it yet.
interface Array<T> {
  findLast(is: (value: T, index: number, all: T[]) => unknown): T | undefined
  findLastIndex(is: (value: T, index: number, all: T[]) => unknown): number
  with(index: number, value: T): T[]
  toReversed(): T[]
  toSorted(compare?: (a: T, b: T) => number): T[]
}
