package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/unihook/unihook/gateway/egress"
)

// egressCommand is `unihook egress` and what belongs to it.
type egressCommand struct {
	Run   proxyCommand `cmd:"" default:"withargs" help:"Run the proxy on the host that has the fixed address."`
	Check checkCommand `cmd:"" help:"Prove the address against a receiver that answers with its peer's."`
}

// proxyCommand is the CONNECT proxy.
type proxyCommand struct {
	Listen         string       `env:"UNIHOOK_LISTEN" default:"127.0.0.1:8443" help:"Address to listen on."`
	EgressIP       []netip.Addr `name:"egress-ip" env:"UNIHOOK_EGRESS_IP" help:"Addresses of this machine to connect from."`
	Token          string       `env:"UNIHOOK_TOKEN" help:"What workers give as the user name of --egress-proxy."`
	ClientCA       string       `name:"client-ca" env:"UNIHOOK_CLIENT_CA" help:"Roots (PEM file) of the certificates that workers show."`
	TLSCert        string       `name:"tls-cert" env:"UNIHOOK_TLS_CERT" help:"Certificate file (PEM) of the proxy."`
	TLSKey         string       `name:"tls-key" env:"UNIHOOK_TLS_KEY" help:"Key file (PEM) of the proxy."`
	AllowPort      []uint16     `env:"UNIHOOK_ALLOW_PORT" help:"Ports of targets to open in addition."`
	AllowNetwork   []string     `env:"UNIHOOK_ALLOW_NETWORK" help:"CIDR[@port] that targets may be in though not public."`
	MaxConnections int          `env:"UNIHOOK_MAX_CONNECTIONS" default:"4096" help:"Connections open at once."`
	Idle           span         `env:"UNIHOOK_IDLE" default:"90s" help:"How long a connection may carry nothing."`
	Grace          span         `env:"UNIHOOK_GRACE" default:"30s" help:"Time to finish connections after SIGTERM."`
	LogFormat      string       `env:"UNIHOOK_LOG_FORMAT" default:"text" enum:"text,json" help:"Format of the log on standard error."`
}

// Validate says, at once, everything that is wrong with the settings. Kong calls it.
func (c *proxyCommand) Validate() error {
	var wrong []error
	say := func(bad bool, text string) {
		if bad {
			wrong = append(wrong, errors.New(text))
		}
	}
	say((c.TLSCert == "") != (c.TLSKey == ""), "--tls-cert and --tls-key go together")
	say(c.MaxConnections < 1, "--max-connections must be 1 or more")
	say(c.Idle <= 0, "--idle must be above 0")
	say(c.Grace < 0, "--grace must not be negative")
	return errors.Join(wrong...)
}

// Run serves until ctx ends, then gives open connections their grace.
func (c *proxyCommand) Run(ctx context.Context, t terminal) error {
	options, err := c.options()
	if err != nil {
		return err
	}
	proxy, err := egress.NewProxy(options)
	if err != nil {
		return fmt.Errorf("starting the proxy: %w", err)
	}
	listener, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return fmt.Errorf("starting the proxy: %w", err)
	}
	if err := proxy.MayListen(listener.Addr()); err != nil {
		listener.Close()
		return fmt.Errorf("starting the proxy: %w", err)
	}
	fmt.Fprintf(t.out, "The egress proxy listens on %s.\n", listener.Addr())
	return proxy.Serve(ctx, listener)
}

func (c *proxyCommand) options() (o egress.ProxyOptions, err error) {
	about := egressSettings{AllowNetwork: c.AllowNetwork}
	o = egress.ProxyOptions{
		SourceIPs: c.EgressIP, Token: c.Token, AllowPorts: c.AllowPort,
		MaxConnections: c.MaxConnections, Idle: time.Duration(c.Idle), Grace: time.Duration(c.Grace),
	}
	if o.Networks, err = about.networks(); err != nil {
		return o, err
	}
	if c.ClientCA != "" {
		if o.ClientCAs, err = os.ReadFile(c.ClientCA); err != nil {
			return o, fmt.Errorf("reading --client-ca: %w", err)
		}
	}
	if c.TLSCert == "" && c.TLSKey == "" {
		return o, nil
	}
	pair, err := tls.LoadX509KeyPair(c.TLSCert, c.TLSKey)
	if err != nil {
		return o, fmt.Errorf("reading --tls-cert and --tls-key: %w", err)
	}
	o.Certificate = &pair
	return o, nil
}

// checkCommand is `unihook egress check URL`.
type checkCommand struct {
	URL string `arg:"" help:"A receiver that answers with the address it sees."`
	egressSettings
	JSON bool `name:"json" help:"Answer in JSON."`
}

// proofTimeout bounds the whole check.
const proofTimeout = 30 * time.Second

// Run calls the receiver once, the way a delivery leaves, and compares what it saw with what was recorded.
func (c *checkCommand) Run(ctx context.Context, t terminal) error {
	policy, err := c.policy(nil)
	if err != nil {
		return err
	}
	client, err := c.client(policy, false)
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, proofTimeout)
	defer cancel()
	proof, err := egress.Prove(ctx, client, c.URL)
	if err != nil {
		return err
	}
	return c.tell(t, proof, c.expected(proof))
}

// expected is one of the addresses that the operator promises, or the recorded one where none is promised.
func (c *checkCommand) expected(p egress.Proof) bool {
	promised := c.EgressPublicIP
	if len(promised) == 0 {
		promised = c.EgressIP
	}
	if len(promised) == 0 {
		return p.Same
	}
	for _, addr := range promised {
		if addr.Unmap() == p.Seen.Unmap() {
			return true
		}
	}
	return false
}

// proofAnswer is the check for programs.
type proofAnswer struct {
	Mode     string     `json:"mode"`
	Recorded netip.Addr `json:"recorded"`
	Seen     netip.Addr `json:"seen"`
	Proved   bool       `json:"proved"`
}

func (c *checkCommand) tell(t terminal, p egress.Proof, proved bool) error {
	if c.JSON {
		if err := json.NewEncoder(t.out).Encode(proofAnswer{p.Mode, p.Local, p.Seen, proved}); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(t.out, "Mode:      %s\nRecorded:  %s\nSeen:      %s\n", p.Mode, p.Local, p.Seen)
	}
	if !proved {
		return exitStatus{1, "the receiver saw another address than the one that requests are to leave from"}
	}
	if !c.JSON {
		fmt.Fprintln(t.out, "Proved: requests leave from this address.")
	}
	return nil
}
