package gatetest

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/towline/towline/pkg/grant"
)

// Who tries. RBAC and grant leave each its own gap to slip through.
const (
	narrow = "narrow" // the grant is for one namespace; RBAC would allow everything
	wide   = "wide"   // the grant names none; RBAC allows everything
	editor = "editor" // the grant names none; RBAC allows edit in one namespace
	admin  = "admin"  // the grant names none; RBAC allows admin in one namespace
)

// attempt is one request, written as it goes over the wire. NS is the namespace
// of the job, OTHER another one.
type attempt struct {
	as, line, headers, body string
	want                    string // a rule of the gate, or words of the API server
}

// siege is a cluster with one session for each of those who try.
type siege struct {
	*bench
	tokens    map[string]string
	ns, other string
}

func besiege(t *testing.T) *siege {
	t.Helper()
	s := &siege{bench: open(t), tokens: map[string]string{}}
	s.ns, s.other = s.cluster.Namespace(t), s.cluster.Namespace(t)
	s.allowAll("everything")
	s.bind(s.ns, "edit", "editors")
	s.bind(s.ns, "admin", "admins")
	for id, who := range []string{narrow, wide, editor, admin} {
		s.tokens[who] = s.job(func(c *grant.Claims) {
			c.Job.ID = int64(id + 1)
			c.Identity = grant.Identity{Mode: grant.ModeCIJob, User: fmt.Sprintf("gitlab:ci_job:%d", id+1)}
			switch who {
			case narrow:
				c.Namespaces, c.Identity.Groups = []string{s.ns}, []string{s.home + ":everything"}
			case wide:
				c.Identity.Groups = []string{s.home + ":everything"}
			case editor:
				c.Identity.Groups = []string{s.home + ":editors"}
			case admin:
				c.Identity.Groups = []string{s.home + ":admins"}
			}
		}).token
	}
	for who, path := range map[string]string{wide: "/api/v1/nodes", editor: "/api/v1/namespaces/NS/configmaps", admin: "/apis/rbac.authorization.k8s.io/v1/namespaces/NS/roles"} {
		s.eventually("RBAC knows "+who, func() bool {
			code, _ := s.try(attempt{as: who, line: "GET " + path})
			return code == http.StatusOK
		})
	}
	return s
}

// allowAll gives a group every right there is.
func (s *siege) allowAll(group string) {
	s.t.Helper()
	all := []string{"*"}
	name := s.home + ":" + group
	rbac := s.admin.RbacV1()
	_, err := rbac.ClusterRoles().Create(s.t.Context(), &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: []rbacv1.PolicyRule{
		{Verbs: all, APIGroups: all, Resources: all}, {Verbs: all, NonResourceURLs: all},
	}}, metav1.CreateOptions{})
	s.must(err)
	_, err = rbac.ClusterRoleBindings().Create(s.t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name}, Subjects: []rbacv1.Subject{{Kind: "Group", APIGroup: rbacv1.GroupName, Name: name}},
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name},
	}, metav1.CreateOptions{})
	s.must(err)
	s.t.Cleanup(func() {
		_ = rbac.ClusterRoleBindings().Delete(context.Background(), name, metav1.DeleteOptions{})
		_ = rbac.ClusterRoles().Delete(context.Background(), name, metav1.DeleteOptions{})
	})
}

func (s *siege) bind(namespace, role, group string) {
	s.t.Helper()
	_, err := s.admin.RbacV1().RoleBindings(namespace).Create(s.t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{GenerateName: role + "-"}, Subjects: []rbacv1.Subject{{Kind: "Group", APIGroup: rbacv1.GroupName, Name: s.home + ":" + group}},
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
	}, metav1.CreateOptions{})
	s.must(err)
}

// fill puts the namespaces' names into a text.
func (s *siege) fill(text string) string {
	return strings.NewReplacer("/NS", "/"+s.ns, "OTHER", s.other, `"NS"`, `"`+s.ns+`"`).Replace(text)
}

// try sends a request over a connection of its own and returns the code and the
// body of the answer.
func (s *siege) try(a attempt) (int, []byte) {
	s.t.Helper()
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(s.ca)
	dialer := tls.Dialer{Config: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS13, NextProtos: []string{"http/1.1"}}, NetDialer: &net.Dialer{Timeout: patience}}
	conn, err := dialer.DialContext(s.t.Context(), "tcp", strings.TrimPrefix(s.url, "https://"))
	s.must(err)
	defer conn.Close()
	s.must(conn.SetDeadline(time.Now().Add(patience)))
	body, headers := s.fill(a.body), s.fill(a.headers)
	if body != "" && !strings.Contains(headers, "Content-Type:") {
		headers += "Content-Type: application/json\r\n"
	}
	if !strings.Contains(headers, "Connection:") {
		headers += "Connection: close\r\n"
	}
	_, err = fmt.Fprintf(conn, "%s HTTP/1.1\r\nHost: gate\r\nAuthorization: Bearer %s\r\n%sContent-Length: %d\r\n\r\n%s", s.fill(a.line), s.tokens[a.as], headers, len(body), body)
	s.must(err)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	s.must(err)
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	s.must(err)
	return resp.StatusCode, text
}

// TestBypasses: every attempt ends in a Status that says by what it was refused.
func TestBypasses(t *testing.T) {
	if len(bypasses) < 60 {
		t.Fatalf("%d attempts", len(bypasses))
	}
	s := besiege(t)
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "loot"}, StringData: map[string]string{"password": "hunter2"}}
	for _, ns := range []string{s.ns, s.other} {
		_, err := s.admin.CoreV1().Secrets(ns).Create(t.Context(), secret, metav1.CreateOptions{})
		s.must(err)
	}
	seen := map[string]bool{}
	for _, a := range bypasses {
		name := a.as + " " + a.line + " " + a.headers + a.body
		if seen[name] {
			t.Errorf("%s: tried twice", name)
		}
		seen[name] = true
		code, text := s.try(a)
		var st metav1.Status
		if err := json.Unmarshal(text, &st); err != nil || st.Kind != "Status" || st.Status != metav1.StatusFailure || int(st.Code) != code || code < 400 || code > 499 {
			t.Errorf("%s:\n%d %.300s", name, code, text)
			continue
		}
		want := s.fill(a.want)
		if !strings.Contains(a.want, " ") {
			want = fmt.Sprintf("(gate rule %q)", a.want)
		}
		if !strings.Contains(st.Message, want) || st.Reason == "" {
			t.Errorf("%s:\n%q, want %s", name, st.Message, want)
		}
		if strings.Contains(string(text), "hunter2") {
			t.Errorf("%s: the loot is in the answer", name)
		}
	}
	s.untouched()
}

// untouched looks for what an attempt would have left behind.
func (s *siege) untouched() {
	s.t.Helper()
	ctx, all := s.t.Context(), metav1.ListOptions{}
	for _, ns := range []string{s.ns, s.other} {
		n, err := s.admin.CoreV1().Namespaces().Get(ctx, ns, metav1.GetOptions{})
		s.must(err)
		maps, err := s.admin.CoreV1().ConfigMaps(ns).List(ctx, all)
		s.must(err)
		secrets, err := s.admin.CoreV1().Secrets(ns).List(ctx, all)
		s.must(err)
		if n.Status.Phase != corev1.NamespaceActive || n.Labels["evil"] != "" || len(maps.Items) != 1 || len(secrets.Items) != 1 {
			s.t.Errorf("%s: %s, labels %v, %d ConfigMaps, %d Secrets", ns, n.Status.Phase, n.Labels, len(maps.Items), len(secrets.Items))
		}
	}
	if _, err := s.admin.RbacV1().ClusterRoleBindings().Get(ctx, "evil", metav1.GetOptions{}); err == nil {
		s.t.Error("the binding was made")
	}
}
