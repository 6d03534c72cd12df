//go:build unix

package node

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"io"
	"math/big"
	"net"
	"strings"
	"sync"
	"time"
)

// stranger speaks TLS with a certificate that nobody vouches for.
func stranger(c net.Conn) *tls.Conn {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	return tls.Server(c, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}})
}

// nameAnswer is what the names' server says of a name.
type nameAnswer byte

const (
	found nameAnswer = iota + 1
	unknown
	failing
	silent
)

// names are those that the tests' own server of names knows.
var names sync.Map

func setName(name string, is nameAnswer) { names.Store(name, is) }

// nameNews is how often one who hangs on a name looks whether it is known now.
const nameNews = 10 * time.Millisecond

func init() {
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		here, there := net.Pipe()
		go tellNames(there)
		return here, nil
	}}
}

// tellNames is the server of names: one question after the other, as over TCP.
func tellNames(c net.Conn) {
	defer c.Close()
	for {
		var n [2]byte
		if _, err := io.ReadFull(c, n[:]); err != nil {
			return
		}
		q := make([]byte, binary.BigEndian.Uint16(n[:]))
		if _, err := io.ReadFull(c, q); err != nil || len(q) < 17 {
			return
		}
		var labels []string
		end := 12
		for end < len(q) && q[end] != 0 && end+1+int(q[end]) < len(q) {
			labels = append(labels, string(q[end+1:end+1+int(q[end])]))
			end += 1 + int(q[end])
		}
		end += 5 // the root, type and class
		name := strings.Join(labels, ".")
		is, _ := names.Load(name)
		for is == silent { // who has had enough is gone when it is answered
			time.Sleep(nameNews)
			is, _ = names.Load(name)
		}
		a := append([]byte{}, q[:end]...)
		copy(a[2:], []byte{0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0})
		switch is {
		case failing:
			a[3] |= 2
		case found:
			if q[end-3] == 1 { // an A record
				a[7] = 1
				a = append(a, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 127, 0, 0, 1)
			}
		default:
			a[3] |= 3
		}
		if _, err := c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(a))), a...)); err != nil {
			return
		}
	}
}

// What of HTTP/2 is written by hand, to be written wrong.
const (
	dataFrame, headersFrame, resetFrame, settingsFrame, goAwayFrame = 0, 1, 3, 4, 7

	endHeaders    = 4
	status200     = 0x88 // in HPACK
	refusedStream = 7
)

// h2 is a connection that speaks as much HTTP/2.
type h2 struct{ *tls.Conn }

// streams is a fault in the answer to each stream.
func streams(how func(c *h2, stream uint32)) func(*faulty, net.Conn) {
	return func(u *faulty, conn net.Conn) {
		c := &h2{tls.Server(conn, &tls.Config{Certificates: u.server.TLS.Certificates, NextProtos: []string{"h2"}})}
		if _, err := io.ReadFull(c, make([]byte, len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))); err != nil {
			return
		}
		c.frame(settingsFrame, 0, 0, nil)
		for {
			var head [9]byte
			if _, err := io.ReadFull(c, head[:]); err != nil {
				return
			}
			if _, err := io.CopyN(io.Discard, c, int64(head[0])<<16|int64(head[1])<<8|int64(head[2])); err != nil {
				return
			}
			if head[3] == headersFrame {
				how(c, binary.BigEndian.Uint32(head[5:]))
			}
		}
	}
}

func (c *h2) frame(kind, flags byte, stream uint32, payload []byte) {
	n := len(payload)
	head := binary.BigEndian.AppendUint32([]byte{byte(n >> 16), byte(n >> 8), byte(n), kind, flags}, stream)
	_, _ = c.Write(append(head, payload...))
}

// goAway says that no stream after the last is answered, and says no more.
func (c *h2) goAway(last uint32) {
	c.frame(goAwayFrame, 0, 0, append(binary.BigEndian.AppendUint32(nil, last), 0, 0, 0, 0))
	_ = c.CloseWrite()
}
