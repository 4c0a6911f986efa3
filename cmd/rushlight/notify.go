package main

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/gen2brain/beeep"

	"rushlight/node/api"
)

// notifyEvery is how often a desktop is bothered at most.
const notifyEvery = 2 * time.Second

// desktop shows one notification.
func desktop(title, text string) error {
	beeep.AppName = "Rushlight"
	return beeep.Notify(title, text, "")
}

// hasDesktop tells whether there may be somebody to notify: also where a desktop
// session, and no terminal, has started the daemon. env is os.Getenv.
func hasDesktop(goos string, env func(string) string) bool {
	if env("CI") != "" || env("SSH_CONNECTION") != "" {
		return false
	}
	if goos == "windows" || goos == "darwin" {
		return true
	}
	for _, name := range []string{"DISPLAY", "WAYLAND_DISPLAY", "DBUS_SESSION_BUS_ADDRESS"} {
		if env(name) != "" {
			return true
		}
	}
	// A service that the session's manager starts finds the session's bus here.
	_, err := os.Stat(filepath.Join("/run/user", strconv.Itoa(os.Getuid()), "bus"))
	return err == nil
}

// notifyDesktop is [notify] where there is a desktop. One that takes nothing now,
// as nothing shows notifications yet, is asked again for the next message.
func notifyDesktop(ctx context.Context, d api.Daemon, how func() string, log *slog.Logger) {
	if !hasDesktop(runtime.GOOS, os.Getenv) {
		return
	}
	failed := false
	err := notify(ctx, d, how, func(title, text string) error {
		if err := desktop(title, text); err != nil && !failed {
			failed = true
			log.Info("desktop notifications don't work here", "err", err)
		}
		return nil
	})
	if err != nil && ctx.Err() == nil {
		log.Warn("desktop notifications have ended", "err", err)
	}
}

// notify shows that messages have come, as somebody wants that at the time,
// until ctx ends or show fails. Muted conversations are left out.
func notify(ctx context.Context, d api.Daemon, how func() string, show func(title, text string) error) error {
	var last time.Time
	return d.Watch(ctx, api.FromNow, nil, func(e api.Event) error {
		m := e.Message
		if m == nil || m.Mine || time.Since(last) < notifyEvery {
			return nil
		}
		how := how()
		if how == api.NotifyOff {
			return nil
		}
		// Who was removed meanwhile needs no notification.
		if c, err := d.Chat(ctx, api.ChatRequest{Who: m.Conversation}); err != nil || c.Muted != 0 {
			return nil //nolint:nilerr // as said
		}
		last = time.Now()
		// What ends must not outlive that in what the desktop remembers.
		if how == api.NotifyContent && m.Kind == api.KindText && m.Expires == 0 && m.Burn == 0 {
			return show(inert(m.FromName), inert(m.Text))
		}
		return show("Rushlight", "New message")
	})
}

// maxShown is how many characters of a message a notification has.
const maxShown = 300

// wide are characters that a desktop may take for markup, for an entity or, on
// Windows, for a script, and what is shown in their place.
var wide = strings.NewReplacer("<", "＜", ">", "＞", "&", "＆", "$", "＄", "`", "｀")

// inert is what others wrote as it is given to a desktop: one line, that is
// neither markup nor a script, nor an option of the command that shows it.
func inert(s string) string {
	s = clean(strings.Join(strings.Fields(s), " "))
	if r := []rune(s); len(r) > maxShown {
		s = string(r[:maxShown]) + "…"
	}
	if rest, ok := strings.CutPrefix(s, "-"); ok {
		s = "－" + rest
	}
	return wide.Replace(s)
}
