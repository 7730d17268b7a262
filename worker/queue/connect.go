package queue

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// enqueueTimeout is what a publish may wait for each step towards Redis; serveTimeout is what a worker may.
const (
	enqueueTimeout = 300 * time.Millisecond
	serveTimeout   = time.Second
)

// target is a Redis that clients can be made for: one server, a failover group or a cluster.
type target struct {
	single   *redis.Options
	failover *redis.FailoverOptions
	cluster  *redis.ClusterOptions
}

// parseURI reads redis://, rediss:// and unix:// for one server, redis-sentinel:// (master_name and addr in the query)
// and redis-cluster:// (addr in the query) for many; an s before the dash is TLS. The errors do not repeat the URI,
// which may hold a password.
func parseURI(uri string) (target, error) {
	scheme, rest, _ := strings.Cut(uri, "://")
	var t target
	var err error
	switch scheme {
	case "redis", "rediss", "unix":
		t.single, err = redis.ParseURL(uri)
	case "redis-sentinel", "rediss-sentinel":
		t.failover, err = redis.ParseFailoverURL(strings.TrimSuffix(scheme, "-sentinel") + "://" + rest)
	case "redis-cluster", "rediss-cluster":
		t.cluster, err = redis.ParseClusterURL(strings.TrimSuffix(scheme, "-cluster") + "://" + rest)
	default:
		return t, errors.New("the Redis URI begins with redis://, rediss://, unix://, redis-sentinel:// or redis-cluster://")
	}
	if err != nil {
		// The parser's own words quote what it stumbled over, which may be a part of the password.
		return t, errors.New("the Redis URI cannot be read: it is like redis://user:password@host:6379/0, with what is special in the password percent-encoded")
	}
	return t, nil
}

// check refuses a Redis that anyone on the network could write to.
func (t target) check() error {
	addrs, password, network := t.addresses()
	if password != "" || network == "unix" {
		return nil
	}
	for _, a := range addrs {
		host, _, err := net.SplitHostPort(a)
		if err != nil {
			host = a
		}
		if ip, err := netip.ParseAddr(host); host == "localhost" || err == nil && ip.Unmap().IsLoopback() {
			continue
		}
		if t.failover != nil && t.failover.SentinelPassword != "" {
			return fmt.Errorf("the Redis behind the Sentinel at %s is off loopback and has no password: give it as password= in the URI's query; the one before the host is the Sentinel's own", a)
		}
		return fmt.Errorf("the Redis at %s is off loopback and has no password", a)
	}
	return nil
}

func (t target) addresses() (addrs []string, password, network string) {
	switch {
	case t.single != nil:
		return []string{t.single.Addr}, t.single.Password, t.single.Network
	case t.failover != nil:
		return t.failover.SentinelAddrs, t.failover.Password, ""
	default:
		return t.cluster.Addrs, t.cluster.Password, ""
	}
}

// client connects with timeout for each step. Nothing is tried again: what was lost is a hint, and a second try of a
// command whose answer was lost would take a second task.
func (t target) client(timeout time.Duration) redis.UniversalClient {
	quiet := &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	switch {
	case t.single != nil:
		o := *t.single
		o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.PoolTimeout = timeout, timeout, timeout, timeout
		o.MaxRetries, o.DialerRetries, o.ContextTimeoutEnabled = -1, 1, true
		o.DisableIdentity, o.MaintNotificationsConfig = true, quiet
		return redis.NewClient(&o)
	case t.failover != nil:
		o := *t.failover
		o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.PoolTimeout = timeout, timeout, timeout, timeout
		o.MaxRetries, o.ContextTimeoutEnabled = -1, true
		o.DisableIdentity = true
		return redis.NewFailoverClient(&o)
	default:
		o := *t.cluster
		o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.PoolTimeout = timeout, timeout, timeout, timeout
		// Redirects are not retries, but the client counts them as such when there are none of its own.
		o.MaxRetries, o.DialerRetries, o.ContextTimeoutEnabled = -1, 1, true
		o.DisableIdentity, o.MaintNotificationsConfig = true, quiet
		return redis.NewClusterClient(&o)
	}
}

// embed starts a Redis inside the process. It listens on loopback, where other users of the machine could reach it:
// hence the password that only this process knows.
func embed() (*miniredis.Miniredis, target, error) {
	m := miniredis.NewMiniRedis()
	password := rand.Text()
	m.RequireAuth(password)
	if err := m.Start(); err != nil {
		return nil, target{}, fmt.Errorf("starting the embedded Redis: %w", err)
	}
	return m, target{single: &redis.Options{Addr: m.Addr(), Password: password}}, nil
}
