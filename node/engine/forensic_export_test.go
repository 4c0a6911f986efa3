package engine

import "time"

// JumpClock makes the engine see what it would see if the system's clock had
// been set ahead by d just now.
func (e *Engine) JumpClock(d time.Duration) {
	e.life.mu.Lock()
	defer e.life.mu.Unlock()
	e.life.wall = e.life.wall.Add(-d)
}
