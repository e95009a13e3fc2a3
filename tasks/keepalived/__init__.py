"""keepalived: VRRP pairs. Who holds which address, and how it is handed over."""
