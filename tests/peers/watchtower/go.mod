module tidegate/peers/watchtower

go 1.23

require github.com/containrrr/watchtower v1.7.1
