#include <netdb.h>
#include <stdio.h>
#include <string.h>
int main(int c,char**v){struct addrinfo*r;int e=getaddrinfo(c>1?v[1]:"localhost","80",0,&r);printf("%d %s\n",e,gai_strerror(e));return e;}
