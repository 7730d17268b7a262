package main

import (
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/unihook/unihook/gateway"
	"github.com/unihook/unihook/gateway/egress"
	"github.com/unihook/unihook/gateway/retry"
)

// span is a duration of a setting: Go's, with d for days.
type span time.Duration

// UnmarshalText reads "90s", "1h30m" or "30d".
func (s *span) UnmarshalText(text []byte) error {
	d, err := retry.ParseDuration(string(text))
	*s = span(d)
	return err
}

// settings are those of serve, api and worker; API.md has the table. Every flag has its variable.
type settings struct {
	Listen       string   `env:"UNIHOOK_LISTEN" default:"127.0.0.1:8080" help:"Address to listen on."`
	PublicURL    string   `name:"public-url" env:"UNIHOOK_PUBLIC_URL" help:"Origin of links and cookies; http:// and the listening address where none is given."`
	TLSCert      string   `name:"tls-cert" env:"UNIHOOK_TLS_CERT" help:"Certificate file (PEM) of the listener."`
	TLSKey       string   `name:"tls-key" env:"UNIHOOK_TLS_KEY" help:"Key file (PEM) of the listener."`
	InsecureHTTP bool     `name:"insecure-http" env:"UNIHOOK_INSECURE_HTTP" help:"Listen off loopback without TLS and without an https --public-url."`
	TrustedProxy []string `env:"UNIHOOK_TRUSTED_PROXY" help:"CIDRs that may send X-Forwarded-*."`

	DataDir       string   `env:"UNIHOOK_DATA_DIR" default:"./unihook-data" help:"Folder of the embedded store and of the keys that were made."`
	MongoURI      string   `name:"mongo-uri" env:"UNIHOOK_MONGO_URI" help:"MongoDB to store in; the embedded store where none is given."`
	RedisURI      string   `name:"redis-uri" env:"UNIHOOK_REDIS_URI" help:"Redis for the queue; an embedded one where none is given."`
	InsecureRedis bool     `name:"insecure-redis" env:"UNIHOOK_INSECURE_REDIS" help:"Take a Redis off loopback that has no password."`
	OperatorKey   string   `env:"UNIHOOK_OPERATOR_KEY" help:"The operator's API key, 32 characters or more; made at the first start where none is given."`
	EncryptionKey []string `env:"UNIHOOK_ENCRYPTION_KEY" help:"Base64 or hex of the 32 bytes that wrap the store's keys; made in the data dir. A second one is taken while the first is exchanged."`

	egressSettings

	Catalog         string  `env:"UNIHOOK_CATALOG" help:"Folder of a catalogue to serve instead of the built-in one."`
	DefaultStatus   string  `env:"UNIHOOK_DEFAULT_STATUS" default:"inactive" enum:"active,inactive" help:"Status of webhooks that name none."`
	MaxEventBytes   int     `env:"UNIHOOK_MAX_EVENT_BYTES" default:"262144" help:"Most bytes of an event's data."`
	MaxPending      int     `env:"UNIHOOK_MAX_PENDING" default:"1000000" help:"Most pending deliveries of an organisation; beyond it publishing for it answers 429."`
	KeyRate         int     `env:"UNIHOOK_KEY_RATE" default:"0" help:"Requests per second per key; 0 is no limit."`
	Concurrency     int     `env:"UNIHOOK_CONCURRENCY" default:"512" help:"Requests in flight."`
	Grace           span    `env:"UNIHOOK_GRACE" default:"30s" help:"Time to finish requests after SIGTERM."`
	RetryScale      float64 `env:"UNIHOOK_RETRY_SCALE" default:"1" help:"Every delay of a retry schedule and of quarantine times this, for tests and rehearsals."`
	ResponseCapture string  `env:"UNIHOOK_RESPONSE_CAPTURE" default:"full" enum:"full,status" help:"What is kept of responses: full, or status alone."`
	Retention       span    `env:"UNIHOOK_RETENTION" default:"30d" help:"How long events and deliveries are kept."`
	AuditRetention  span    `env:"UNIHOOK_AUDIT_RETENTION" default:"400d" help:"How long audit entries are kept."`
	QuarantineAfter int     `env:"UNIHOOK_QUARANTINE_AFTER" default:"10" help:"Failures in a row that start quarantine; 0 is never."`
	QuarantineFor   span    `env:"UNIHOOK_QUARANTINE_FOR" default:"1m" help:"First cool-down of quarantine."`
	QuarantineMax   span    `env:"UNIHOOK_QUARANTINE_MAX" default:"1h" help:"Longest cool-down of quarantine."`
	LogFormat       string  `env:"UNIHOOK_LOG_FORMAT" default:"text" enum:"text,json" help:"Format of the log on standard error."`
}

// egressSettings are about how requests leave and where to.
type egressSettings struct {
	EgressIP        []netip.Addr `name:"egress-ip" env:"UNIHOOK_EGRESS_IP" help:"Addresses of this machine to send from."`
	EgressProxy     string       `env:"UNIHOOK_EGRESS_PROXY" help:"Proxy to send through, https://token@host:port."`
	EgressProxyCert string       `env:"UNIHOOK_EGRESS_PROXY_CERT" help:"Certificate file (PEM) to show to a proxy with --client-ca."`
	EgressProxyKey  string       `env:"UNIHOOK_EGRESS_PROXY_KEY" help:"Key file (PEM) of that certificate."`
	EgressPublicIP  []netip.Addr `name:"egress-public-ip" env:"UNIHOOK_EGRESS_PUBLIC_IP" help:"Addresses that receivers see, where they are not the bound ones."`
	EgressUpcoming  []string     `env:"UNIHOOK_EGRESS_UPCOMING" help:"Addresses to come, each address@date."`
	AllowHTTP       bool         `name:"allow-http" env:"UNIHOOK_ALLOW_HTTP" help:"Take http:// targets."`
	AllowPort       []uint16     `env:"UNIHOOK_ALLOW_PORT" help:"Ports of targets to open in addition."`
	AllowNetwork    []string     `env:"UNIHOOK_ALLOW_NETWORK" help:"[organisation=]CIDR[@port] that targets may be in though not public."`
	CAFile          string       `name:"ca-file" env:"UNIHOOK_CA_FILE" help:"Extra roots (PEM) to trust for targets."`
}

// secretVariables also have a form with _FILE, which names a file that holds the value.
var secretVariables = []string{
	"UNIHOOK_MONGO_URI", "UNIHOOK_REDIS_URI", "UNIHOOK_OPERATOR_KEY", "UNIHOOK_ENCRYPTION_KEY", "UNIHOOK_EGRESS_PROXY", "UNIHOOK_TOKEN",
}

// dropEmpty unsets our variables that are empty: compose files and charts pass on what nobody has set so.
func dropEmpty(environ []string, unset func(key string) error) error {
	for _, pair := range environ {
		if key, value, _ := strings.Cut(pair, "="); value == "" && strings.HasPrefix(key, "UNIHOOK_") {
			if err := unset(key); err != nil {
				return err
			}
		}
	}
	return nil
}

// secretsFromFiles reads the files that <VARIABLE>_FILE name and sets the variables themselves.
func secretsFromFiles(environ []string, set func(key, value string) error) error {
	env := map[string]string{}
	for _, pair := range environ {
		key, value, _ := strings.Cut(pair, "=")
		env[key] = value
	}
	for _, name := range secretVariables {
		file := env[name+"_FILE"]
		if file == "" {
			continue
		}
		if env[name] != "" {
			return fmt.Errorf("%s and %s_FILE are both set; give one", name, name)
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("reading %s_FILE: %w", name, err)
		}
		if err := set(name, strings.TrimRight(string(text), "\r\n")); err != nil {
			return err
		}
	}
	return nil
}

// Bounds of settings whose extremes would stop the program or empty a promise.
const (
	minEventBytes  = 2       // {} is the least there is
	maxEventBytes  = 6 << 20 // a batch of 8 MiB must have room for one
	minOperatorKey = 32
	maxConcurrency = 100_000
)

// Validate says, at once, everything that is wrong with the settings. Kong calls it.
func (s *settings) Validate() error {
	var wrong []error
	say := func(bad bool, format string, args ...any) {
		if bad {
			wrong = append(wrong, fmt.Errorf(format, args...))
		}
	}
	say(s.MaxEventBytes < minEventBytes || s.MaxEventBytes > maxEventBytes, "--max-event-bytes must be from %d to %d", minEventBytes, maxEventBytes)
	say(s.MaxPending < 1, "--max-pending must be 1 or more")
	say(s.KeyRate < 0, "--key-rate must not be negative")
	say(s.Concurrency < 1 || s.Concurrency > maxConcurrency, "--concurrency must be from 1 to %d", maxConcurrency)
	say(s.Grace < 0, "--grace must not be negative")
	say(!(s.RetryScale > 0) || math.IsInf(s.RetryScale, 0), "--retry-scale must be a number above 0")
	say(s.Retention <= 0, "--retention must be above 0")
	say(s.AuditRetention <= 0, "--audit-retention must be above 0")
	say(s.QuarantineAfter < 0, "--quarantine-after must not be negative")
	say(s.QuarantineFor <= 0, "--quarantine-for must be above 0")
	say(s.QuarantineMax < s.QuarantineFor, "--quarantine-max must not be below --quarantine-for")
	say(slices.Contains(s.AllowPort, 0), "--allow-port must be from 1 to 65535")
	say((s.TLSCert == "") != (s.TLSKey == ""), "--tls-cert and --tls-key go together")
	say(s.OperatorKey != "" && len(s.OperatorKey) < minOperatorKey, "--operator-key must have %d characters or more", minOperatorKey)
	say(s.MongoURI != "" && s.OperatorKey == "", "--operator-key is required with --mongo-uri: several processes share it")
	say(s.MongoURI != "" && len(s.EncryptionKey) == 0, "--encryption-key is required with --mongo-uri: several processes share it")
	say(len(s.EncryptionKey) > 2, "--encryption-key takes one key, or two while the first is exchanged")
	say(len(s.EgressIP) > 0 && s.EgressProxy != "", "--egress-ip and --egress-proxy exclude each other: the proxy has the address")
	wrong = append(wrong, s.checkListen(), s.checkPublicURL())
	for _, text := range s.TrustedProxy {
		_, err := netip.ParsePrefix(text)
		say(err != nil, "--trusted-proxy: %q is not a CIDR such as 10.0.0.0/8", text)
	}
	_, err := s.networks()
	_, err2 := s.upcoming()
	return errors.Join(append(wrong, err, err2)...)
}

// checkListen keeps keys and payloads from crossing a network in clear.
func (s *settings) checkListen() error {
	host, _, err := net.SplitHostPort(s.Listen)
	if err != nil {
		return fmt.Errorf("--listen: %q is not an address such as 127.0.0.1:8080", s.Listen)
	}
	if s.TLSCert != "" || s.InsecureHTTP || strings.HasPrefix(s.PublicURL, "https://") || isLoopback(host) {
		return nil
	}
	return fmt.Errorf("--listen %s is off loopback: give --tls-cert and --tls-key, an https --public-url (TLS ends before us), or --insecure-http", s.Listen)
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}

func (s *settings) checkPublicURL() error {
	if s.PublicURL == "" {
		return nil
	}
	u, err := url.Parse(s.PublicURL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil {
		return fmt.Errorf("--public-url: %q is not an origin such as https://hooks.example.com", s.PublicURL)
	}
	return nil
}

// networks reads --allow-network.
func (s *egressSettings) networks() ([]egress.Allowance, error) {
	var list []egress.Allowance
	var wrong []error
	for _, text := range s.AllowNetwork {
		a, err := egress.ParseAllowance(text)
		list, wrong = append(list, a), append(wrong, err)
	}
	if err := errors.Join(wrong...); err != nil {
		return nil, fmt.Errorf("--allow-network: %w", err)
	}
	return list, nil
}

// upcoming reads --egress-upcoming.
func (s *egressSettings) upcoming() ([]gateway.UpcomingAddress, error) {
	list := []gateway.UpcomingAddress{}
	for _, text := range s.EgressUpcoming {
		address, date, _ := strings.Cut(text, "@")
		addr, err := netip.ParseAddr(address)
		_, dateErr := time.Parse(time.DateOnly, date)
		if err != nil || dateErr != nil {
			return nil, fmt.Errorf("--egress-upcoming: %q is not address@date such as 192.0.2.7@2027-01-31", text)
		}
		list = append(list, gateway.UpcomingAddress{Address: addr, From: date})
	}
	return list, nil
}

// client makes what calls targets. Elsewhere says that it will call none.
func (s *egressSettings) client(policy *egress.Policy, elsewhere bool) (*egress.Client, error) {
	roots, err := s.roots()
	if err != nil {
		return nil, err
	}
	o := egress.Options{
		Policy: policy, SourceIPs: s.EgressIP, Elsewhere: elsewhere, ProxyURL: s.EgressProxy, RootCAs: roots, UserAgent: userAgent,
	}
	if s.EgressProxyCert != "" || s.EgressProxyKey != "" {
		pair, err := tls.LoadX509KeyPair(s.EgressProxyCert, s.EgressProxyKey)
		if err != nil {
			return nil, fmt.Errorf("reading --egress-proxy-cert and --egress-proxy-key: %w", err)
		}
		o.ProxyCertificate = &pair
	}
	client, err := egress.New(o)
	if err != nil {
		return nil, fmt.Errorf("preparing egress: %w", err)
	}
	return client, nil
}

// ownAddresses are all that --egress-* names: what we are, or will be, known by is no target.
func (s *egressSettings) ownAddresses() ([]netip.Addr, error) {
	own := append(slices.Clone(s.EgressIP), s.EgressPublicIP...)
	upcoming, err := s.upcoming()
	for _, u := range upcoming {
		own = append(own, u.Address)
	}
	if u, err := url.Parse(s.EgressProxy); err == nil {
		if addr, err := netip.ParseAddr(u.Hostname()); err == nil {
			own = append(own, addr)
		}
	}
	return own, err
}

// roots reads --ca-file.
func (s *egressSettings) roots() ([]byte, error) {
	if s.CAFile == "" {
		return nil, nil
	}
	text, err := os.ReadFile(s.CAFile)
	if err != nil {
		return nil, fmt.Errorf("reading --ca-file: %w", err)
	}
	return text, nil
}

// wrappingKeys decodes --encryption-key.
func wrappingKeys(texts []string) ([][]byte, error) {
	var keys [][]byte
	for _, text := range texts {
		key, err := decodeKey(text)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// encryptionKeyBytes is the size of a wrapping key: AES-256.
const encryptionKeyBytes = 32

// decodeKey never repeats the key in its error.
func decodeKey(text string) ([]byte, error) {
	text = strings.TrimSpace(text)
	for _, decode := range []func(string) ([]byte, error){hex.DecodeString, base64.StdEncoding.DecodeString, base64.RawStdEncoding.DecodeString, base64.URLEncoding.DecodeString, base64.RawURLEncoding.DecodeString} {
		if key, err := decode(text); err == nil && len(key) == encryptionKeyBytes {
			return key, nil
		}
	}
	return nil, fmt.Errorf("--encryption-key is not base64 or hex of %d bytes", encryptionKeyBytes)
}
