package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"

	"github.com/spf13/cobra"

	"rushlight/node/api"
	"rushlight/node/door"
	"rushlight/node/web"
)

// defaultPage is where the page is served: the port is chosen once, and kept.
const defaultPage = "127.0.0.1:0"

// page is the open door to a profile; nil where there is none.
type page struct {
	ln     net.Listener
	tokens *door.Tokens
}

var (
	errSignalAddr = api.Errorf(api.CodeUsage, "signal-cli's programs can't be served there").
			WithHint("it is for this machine alone, on a free port: 127.0.0.1:7583")
	errPageAddr = api.Errorf(api.CodeUsage, "the page can't be served there").
			WithHint("it is for this machine alone: 127.0.0.1:PORT or [::1]:PORT")
	errPageTaken = api.Errorf(api.CodeAlreadyRunning, "another program has the page's port").WithHint("choose another with --page, or --no-page")
)

// openPage listens at addr; an empty one is no page. key opens what is known of
// tokens, and is nil while the profile is locked.
func openPage(ctx context.Context, dir, addr string, key *[32]byte) (*page, error) {
	if addr == "" {
		return nil, nil
	}
	tokens, err := door.OpenTokens(filepath.Join(dir, door.FileName), key)
	if err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, errPageAddr
	}
	kept := tokens.Port()
	chosen := port == "0" && kept != 0
	if chosen {
		port = strconv.Itoa(int(kept))
	}
	ln, err := door.Listen(ctx, net.JoinHostPort(host, port))
	if chosen && errors.Is(err, syscall.EADDRINUSE) {
		ln, err = door.Listen(ctx, addr) // a page of a changed address has to be opened anew
	}
	switch {
	case errors.Is(err, door.ErrNotLoopback):
		return nil, errPageAddr
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, errPageTaken
	case err != nil:
		return nil, err
	}
	if err := tokens.SetPort(door.AddrOf(ln).Port()); err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	return &page{ln, tokens}, nil
}

func (p *page) serve(ctx context.Context, srv *api.Server, log *slog.Logger) error {
	d := &door.Door{Server: srv, Tokens: p.tokens, Page: web.Handler(), Logger: log}
	if err := d.Serve(ctx, p.ln); err != nil {
		return fmt.Errorf("serving the page: %w", err)
	}
	return nil
}

// rights is what the method table needs of a page; nil where there is none.
func (p *page) rights() api.Rights {
	if p == nil {
		return nil
	}
	return rights{p.tokens, p.ln}
}

type rights struct {
	*door.Tokens
	ln net.Listener
}

// Base implements api.Rights.
func (r rights) Base() string { return door.Base(door.AddrOf(r.ln)) }

// Link implements api.Rights.
func (r rights) Link() string { return door.Link(door.AddrOf(r.ln), r.Tokens) }

// link is a link for whoever opens it first; nil without a page.
func (p *page) link() *string {
	if p == nil {
		return nil
	}
	s := p.rights().Link()
	return &s
}

// canOpen tells whether somebody sits before a desktop.
func (a *app) canOpen() bool {
	f, ok := a.err.(*os.File)
	if !ok || os.Getenv("CI") != "" || os.Getenv("SSH_CONNECTION") != "" {
		return false
	}
	if _, ok := terminal(f); !ok {
		return false
	}
	return runtime.GOOS == "windows" || runtime.GOOS == "darwin" ||
		os.Getenv("DISPLAY") != "" || os.Getenv("WAYLAND_DISPLAY") != ""
}

// openBrowser shows a link. Whoever can list this machine's processes sees it
// for a moment; it lets in only whoever is first.
func openBrowser(ctx context.Context, link string) error {
	var cmd *exec.Cmd
	switch runtime.GOOS {
	case "windows":
		cmd = exec.CommandContext(ctx, "rundll32", "url.dll,FileProtocolHandler", link)
	case "darwin":
		cmd = exec.CommandContext(ctx, "open", link)
	default:
		cmd = exec.CommandContext(ctx, "xdg-open", link)
	}
	return cmd.Run()
}

func pageCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "page",
		Short: "Print a link that opens the page, once",
		Long: `Print a link to the page of the running daemon. It lets in whoever opens it first
within a minute, so open it yourself; a page that is open stays so.`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var out struct {
				URL string `json:"url"`
			}
			if err := a.call(cmd.Context(), "page", nil, &out); err != nil {
				return err
			}
			return a.print(out, func(w io.Writer) { fmt.Fprintln(w, out.URL) })
		},
	}
}
