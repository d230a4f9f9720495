package gatetest

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

const mebibyte = 1 << 20

// live is the memory in use, after collecting what is not.
func live() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestTwoHundredWatches: the gate keeps nothing of what it has passed on.
func TestTwoHundredWatches(t *testing.T) {
	const watches, early, late = 200, 5, 60
	b, s, c, ns := deploying(t, nil)
	atRest := runtime.NumGoroutine()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var open []watch.Interface
	for range watches {
		w, err := c.CoreV1().ConfigMaps(ns).Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=watched"})
		b.must(err)
		open = append(open, w)
	}
	object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "watched"}, Data: map[string]string{"x": strings.Repeat("x", 10_000)}}
	_, err := b.admin.CoreV1().ConfigMaps(ns).Create(ctx, object, metav1.CreateOptions{})
	b.must(err)
	round := func(n int) {
		if n > 0 {
			object.Data["n"] = fmt.Sprint(n)
			_, err := b.admin.CoreV1().ConfigMaps(ns).Update(ctx, object, metav1.UpdateOptions{})
			b.must(err)
		}
		for _, w := range open {
			if e, ok := next(t, w); !ok || e.Object.(*corev1.ConfigMap).Data["n"] != object.Data["n"] {
				t.Fatalf("round %d: %v %v", n, ok, e.Type)
			}
		}
	}
	for n := range early {
		round(n)
	}
	memory, working := live(), runtime.NumGoroutine()
	for n := early; n < late; n++ {
		round(n)
	}
	t.Logf("%d watches: %d goroutines; live memory %d KiB after %d rounds, %d KiB after %d", watches, working, memory>>10, early, live()>>10, late)
	b.eventually("memory has not grown since", func() bool { return live() <= memory+4*mebibyte })
	b.eventually("no goroutine has been added since", func() bool { return runtime.NumGoroutine() <= working+20 })
	s.Close()
	for _, w := range open {
		w.Stop()
	}
	b.eventually("nothing is left of the watches", func() bool { return runtime.NumGoroutine() <= atRest+50 })
}

// TestALargeListIsStreamed: a list is larger than what gate and client together
// take while it passes.
func TestALargeListIsStreamed(t *testing.T) {
	const objects, size, most = 52, mebibyte, 24 * mebibyte
	b, s, _, ns := deploying(t, nil)
	b.large(ns, objects, size)
	client, err := rest.HTTPClientFor(b.config(s))
	b.must(err)
	defer debug.SetGCPercent(debug.SetGCPercent(20))
	var grown []uint64
	for range 3 { // on a busy machine what is collected late counts as well
		before := live()
		stop, peak := make(chan struct{}), make(chan uint64)
		go func() { peak <- highest(stop) }()
		n := b.slowly(client, b.url+"/api/v1/namespaces/"+ns+"/configmaps")
		close(stop)
		if n < (objects-2)*size {
			t.Fatalf("the list has %d bytes", n)
		}
		grown = append(grown, (max(<-peak, before)-before)>>20)
		t.Logf("a list of %d MiB: memory %d MiB before, and %d MiB more", n>>20, before>>20, grown[len(grown)-1])
		if grown[len(grown)-1] <= most>>20 {
			return
		}
	}
	t.Errorf("memory grew by %d MiB", grown)
}

// highest is the most memory in use until stop.
func highest(stop <-chan struct{}) (most uint64) {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		most = max(most, m.HeapAlloc)
		select {
		case <-tick.C:
		case <-stop:
			return most
		}
	}
}

// slowly reads an answer as a client that takes its time: it holds the API server
// back and fills nothing here.
func (b *bench) slowly(client *http.Client, url string) (n int64) {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, url, nil)
	b.must(err)
	req.Header.Set("Accept-Encoding", "identity")
	resp, err := client.Do(req)
	b.must(err)
	defer resp.Body.Close()
	_, err = io.CopyN(io.Discard, resp.Body, mebibyte)
	b.must(err)
	wait := time.NewTimer(500 * time.Millisecond)
	<-wait.C
	n, err = io.Copy(io.Discard, resp.Body)
	b.must(err)
	return n
}

// large makes ConfigMaps of a size, in bytes.
func (b *bench) large(ns string, objects, size int) {
	b.t.Helper()
	cfg, err := b.cluster.RESTConfig()
	b.must(err)
	c, err := kubernetes.NewForConfig(cfg)
	b.must(err)
	text := strings.Repeat("0123456789abcdef", (size-4096)/16)
	var all sync.WaitGroup
	for worker := range 4 {
		all.Go(func() {
			for i := worker; i < objects; i += 4 {
				object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("large-%d", i)}, Data: map[string]string{"x": text}}
				if _, err := c.CoreV1().ConfigMaps(ns).Create(b.t.Context(), object, metav1.CreateOptions{}); err != nil {
					b.t.Error(err)
				}
			}
		})
	}
	all.Wait()
}
