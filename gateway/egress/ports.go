package egress

import (
	"fmt"
	"slices"
)

// PortRange is a range of ports that are no webhook receiver's, and what listens there.
type PortRange struct {
	From, To uint16
	Why      string
}

// RefusedPorts is the published list of ports from 1024 up that are refused unless Policy.AllowPorts has them: services
// that take commands from whoever connects, some of which read past an HTTP request's lines that they do not know. It
// holds the ports that browsers refuse, too. Below 1024 only 443 is open, and 80 with AllowHTTP.
func RefusedPorts() []PortRange { return slices.Clone(refusedPorts) }

var refusedPorts = []PortRange{
	{1080, 1080, "SOCKS"},
	{1099, 1099, "Java RMI"},
	{1433, 1434, "SQL Server"},
	{1521, 1522, "Oracle"},
	{1719, 1720, "H.323"},
	{1723, 1723, "PPTP"},
	{1883, 1883, "MQTT"},
	{2049, 2049, "NFS"},
	{2181, 2181, "ZooKeeper"},
	{2375, 2377, "Docker"},
	{2379, 2380, "etcd"},
	{3128, 3128, "web proxy"},
	{3306, 3306, "MySQL"},
	{3389, 3389, "remote desktop"},
	{3659, 3659, "Apple SASL"},
	{4045, 4045, "NFS locks"},
	{4190, 4190, "ManageSieve"},
	{4222, 4222, "NATS"},
	{4369, 4369, "Erlang port mapper"},
	{5060, 5061, "SIP"},
	{5432, 5433, "PostgreSQL"},
	{5671, 5672, "AMQP"},
	{5900, 5909, "VNC"},
	{5984, 5984, "CouchDB"},
	{5985, 5986, "Windows remote management"},
	{6000, 6063, "X11"},
	{6379, 6380, "Redis"},
	{6566, 6566, "SANE"},
	{6660, 6669, "IRC"},
	{6679, 6679, "IRC"},
	{6697, 6697, "IRC"},
	{7000, 7001, "Cassandra"},
	{7199, 7199, "Cassandra"},
	{8883, 8883, "MQTT"},
	{9042, 9042, "Cassandra"},
	{9092, 9094, "Kafka"},
	{9200, 9200, "Elasticsearch"},
	{9300, 9300, "Elasticsearch"},
	{10080, 10080, "Amanda"},
	{10250, 10255, "Kubernetes kubelet"},
	{11211, 11211, "memcached"},
	{16379, 16379, "Redis Cluster"},
	{25672, 25672, "RabbitMQ"},
	{26379, 26379, "Redis Sentinel"},
	{27017, 27019, "MongoDB"},
	{61613, 61617, "ActiveMQ"},
}

// checkPort says whether a port may be called at all.
func (p *Policy) checkPort(port uint16) *Fault {
	if slices.Contains(p.AllowPorts, port) && port != 0 || port == 443 || port == 80 && p.AllowHTTP {
		return nil
	}
	if port < 1024 {
		return &Fault{"url_port", fmt.Sprintf("port %d cannot be called: 443, or one from 1024 up, can", port)}
	}
	for _, r := range refusedPorts {
		if port >= r.From && port <= r.To {
			return &Fault{"url_port", fmt.Sprintf("port %d cannot be called: it is known for %s", port, r.Why)}
		}
	}
	return nil
}
