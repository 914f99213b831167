"""Traffic as counters show it, where a gateway counts requests and Prometheus scrapes them."""
