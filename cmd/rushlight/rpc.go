package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/spf13/cobra"

	"rushlight/node/api"
)

func rpcCommand(a *app) *cobra.Command {
	receive := false
	cmd := &cobra.Command{
		Use:   "rpc",
		Short: "Speak JSON-RPC with the daemon over standard input and output",
		Long: `Connect standard input and output to the daemon: JSON-RPC 2.0, one request, batch
or response in a line. When the input ends, what was asked is still answered.
With --receive, what comes from others is told as well, as "signal-cli jsonRpc"
does: programs written for that can run this instead.`,
		Example: `  echo '{"jsonrpc":"2.0","id":1,"method":"listContacts"}' | rushlight rpc`,
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			first := ""
			if receive {
				first = `{"jsonrpc":"2.0","method":"subscribeReceive"}` + "\n"
			}
			return a.proxy(cmd.Context(), first)
		},
	}
	cmd.Flags().BoolVar(&receive, "receive", false, "tell what comes from others, as notifications of the method receive")
	return cmd
}

// endTime is how long the end of the input may take to show after the daemon
// has closed.
const endTime = 200 * time.Millisecond

// proxy writes first, then copies both ways until the daemon has closed its side. What reads the
// standard input can't be stopped, and ends with the process.
func (a *app) proxy(ctx context.Context, first string) error {
	if a.dirErr != nil {
		return a.dirErr
	}
	c, err := api.DialRaw(ctx, a.dir)
	if err != nil {
		return err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	if _, err := io.WriteString(c, first); err != nil {
		return fmt.Errorf("speaking to the daemon: %w", err)
	}
	ended := make(chan struct{})
	go func() {
		// However the input ends, the daemon is told so.
		_, _ = io.Copy(c, a.in)
		close(ended)
		if half, ok := c.(*net.UnixConn); ok {
			_ = half.CloseWrite()
		}
	}()
	if _, err := io.Copy(a.out, c); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("speaking to the daemon: %w", err)
	}
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return nil
	case <-time.After(endTime):
		return api.Errorf(api.CodeNoDaemon, "the daemon has stopped")
	}
}
