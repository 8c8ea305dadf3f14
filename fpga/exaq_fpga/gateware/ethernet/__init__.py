"""Octets in UDP datagrams over a PHY with RGMII at 100 Mbit/s."""
